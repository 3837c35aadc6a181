#!/usr/bin/env python3
"""The runners must see what is wrong: each case is a quixote that fails in one way, and has to be found out.

The stand-in runs the workload as it is and writes what it is told to write; it protects nothing.
"""

import json
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
STAND_IN = textwrap.dedent(
    """\
    #!/usr/bin/python3
    import json, pathlib, subprocess, sys
    fault = {fault!r}
    arguments = sys.argv[1:]
    if arguments[0] == "show":
        print(json.dumps({records!r}))
    if arguments[0] not in ("learn", "monitor", "enforce"):
        sys.exit(fault == "unsigned" and arguments[:2] == ["model", "verify"])
    status = subprocess.call(arguments[arguments.index("--") + 1:])
    counts = {{"events": 9, "coefficients": 5, "violations": 0, "denied": 0, "losses": 0}}
    summary = {{"state": "00", "counts": counts}}
    if arguments[0] == "learn":
        summary["learned"] = {{"convergence": {{"outlook": "varying" if fault == "varying" else "identical"}}}}
    path = pathlib.Path(arguments[arguments.index("--summary") + 1])
    if arguments[0] == "monitor" and fault == "state":
        summary["state"] = str(path)
    if arguments[0] == "monitor" and fault == "violations":
        counts["violations"] = 1
    if arguments[0] == "monitor" and fault == "losses":
        counts["losses"] = 1
    if arguments[0] == "enforce" and fault == "denial":
        counts["violations"] = 1
    if fault != "silent":
        path.write_text(json.dumps(summary))
    sys.exit(3 if fault == "status" and arguments[0] == "enforce" else status)
    """
)


class RunnersFindFaults(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="quixote-stand-in.")
        self.addCleanup(self.directory.cleanup)
        Path(self.directory.name).chmod(0o755)

    def run_with(self, runner, fault, *options, records=()):
        binary = Path(self.directory.name) / "quixote"
        binary.write_text(STAND_IN.format(fault=fault, records=list(records)))
        binary.chmod(0o755)
        report = Path(self.directory.name) / "report.json"
        command = [sys.executable, HERE / runner, "--quixote", binary, "--json", report, *options]
        command += ["--logs", Path(self.directory.name) / "logs"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        self.assertTrue(report.exists(), done.stderr)
        return done.returncode, json.loads(report.read_text())

    def corpus(self, fault):
        status, report = self.run_with("run_corpus.py", fault, "--only", "backup", "--runs", "2", "--learn-runs", "1")
        return status, report[0]["reason"]

    def attack(self, records):
        status, report = self.run_with("run_attacks.py", "", "--only", "chmod_setuid", records=records)
        return status, report[0]["reason"]

    def test_nothing_wrong_passes(self):
        self.assertEqual(self.corpus(""), (0, ""))

    def test_faults_of_a_corpus_run_are_found(self):
        cases = {
            "state": "another state",
            "violations": "1 violations",
            "losses": "1 events were lost",
            "denial": "1 violations",
            "status": "exit 3",
            "silent": "no summary",
            "varying": "not converged after 8 runs",
            "unsigned": "verify",
        }
        for fault, told in cases.items():
            with self.subTest(fault):
                status, reason = self.corpus(fault)
                self.assertEqual(status, 1)
                self.assertIn(told, reason)

    def test_an_attack_that_takes_effect_fails_whatever_is_recorded(self):
        record = {"name": "inode_setattr", "event": "inode_setattr file=/x/plugin.bin"}
        for records in ((), (record,)):
            with self.subTest(records=records):
                self.assertEqual(self.attack(records), (1, "IT TOOK EFFECT"))

    def test_the_record_must_name_event_and_object(self):
        sys.path.insert(0, str(HERE))
        from run_attacks import verdict

        attack = {"events": ["file_open"], "object": "shadow"}
        good = {"name": "file_open", "event": "file_open file=/etc/shadow"}
        other_event = {"name": "inode_unlink", "event": "inode_unlink path=/etc/shadow"}
        other_object = {"name": "file_open", "event": "file_open file=/etc/hosts"}
        self.assertEqual(verdict(attack, False, True, [good], {}), "")
        self.assertIn("took effect", verdict(attack, True, True, [good], {}).lower())
        self.assertIn("no forensics", verdict(attack, False, True, [], {}))
        self.assertIn("another event", verdict(attack, False, True, [other_event, good], {}))
        self.assertIn("not name the object", verdict(attack, False, True, [other_object, good], {}))
        self.assertIn("lost", verdict(attack, False, True, [good], {"losses": 1}))
        self.assertIn("no longer serves", verdict(attack, False, False, [good], {}))


if __name__ == "__main__":
    unittest.main()
