"""AppArmor beside us: a profile for each case that holds what the case does."""

import re
import subprocess
from pathlib import Path

from speed_cases import FOLDER

SYSTEM = """
  /{usr/,}lib{,64}/** mr,
  /usr/share/** r,
  /etc/** r,
  /dev/{null,urandom} rw,
"""
OF_CASE = {
    "exec": "/{usr/,}bin/true mrix,\n  /tmp/speed/true mrix,",
    "compile": f"{SYSTEM}\n  /usr/include/** r,\n  /usr/bin/* mrix,\n  /usr/lib/gcc/** mrix,\n"
    f"  {FOLDER}/unit.o rwl,",
    "nginx": f"{SYSTEM}\n  capability dac_override, capability setuid, capability setgid, capability net_bind_service,\n"
    f"  capability chown,\n  signal, unix,\n  /{{var/,}}run/** r,\n  {FOLDER}/nginx.pid rwk,\n"
    f"  {FOLDER}/{{body,proxy,fastcgi,uwsgi,scgi}}/ rw,\n  /proc/** r,\n  /sys/devices/system/** r,",
    "redis": f"{SYSTEM}\n  capability sys_resource,\n  signal,\n  {FOLDER}/redis.pid rw,\n  /proc/** r,\n  /sys/** r,",
}
PROFILE = """
profile quixote_speed_{name} {program} flags=(attach_disconnected) {{
  network,
  {program} mr,
  {folder}/** r,
  {folder}/{name} mrix,
  {more}
}}
"""
KERNEL_LOG = ["dmesg"]


class Profiles:
    """Loaded and enforcing from `enforce` on."""

    def enforce(self, stage):
        for case in stage.cases:
            text = PROFILE.format(name=case.name, program=case.program, folder=FOLDER, more=OF_CASE.get(case.name, ""))
            stage.call(["apparmor_parser", "--replace"], text=text)
        loaded = Path("/sys/kernel/security/apparmor/profiles").read_text()
        for case in stage.cases:
            if f"quixote_speed_{case.name} (enforce)" not in loaded:
                raise RuntimeError(f"the profile of {case.name} is not in force: {loaded}")

    def denials(self):
        return len(denied())

    def told(self):
        return denied()[-1]


def denied():
    log = subprocess.run(KERNEL_LOG, capture_output=True, text=True, check=True).stdout
    return re.findall(r'.*apparmor="DENIED".*', log)
