# The dynamic linker as a program runs what may not be executed.
loader = machine("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")
result = in_child(lambda: os.execv(loader, [loader, f"{parameters['workdir']}/bin/tool"]))
