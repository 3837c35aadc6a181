"""IMA beside us: it measures each file that is executed or mapped to be, and all that root opens to read.

The kernel's own policy `tcb` leaves out tmpfs, where the cases are.
"""

from pathlib import Path

FOLDER = Path("/sys/kernel/security/integrity/ima")
POLICY = "measure func=BPRM_CHECK\nmeasure func=MMAP_CHECK mask=MAY_EXEC\nmeasure func=FILE_CHECK mask=MAY_READ uid=0\n"


class Ima:
    """Measuring from here on."""

    def __init__(self):
        (FOLDER / "policy").write_text(POLICY)

    def require(self, program):
        measured = (FOLDER / "ascii_runtime_measurements").read_text()
        if not any(line.endswith(f" {program}") or f" {program} " in line for line in measured.splitlines()):
            raise RuntimeError(f"IMA has not measured {program}")
