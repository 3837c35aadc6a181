# An allowed program with a library of the attacker's.
environment = {"LD_PRELOAD": f"{parameters['workdir']}/attacker/preload.so"}
result = subprocess.run([f"{parameters['workdir']}/bin/tool"], env=environment, stdout=subprocess.PIPE).stdout.decode()
