"""What `speed.py` measures: the cases, each with an act that its own learned behaviour does not hold."""

import dataclasses
import os
import shutil
import subprocess
from pathlib import Path

import in_memory

FOLDER = Path("/tmp/speed")
OUTSIDE = Path("/tmp/outside")
PORT = {"connect": 7012, "nginx": 7013, "redis": 7014}
# Number of calls: so many that the first of each, about which the agent is asked, is lost among them.
CALLS = {"open": 20000, "stat": 20000, "read": 100000, "pipe": 5000, "connect": 3000, "exec": 60}
COMPILES = 1
COMPILER = ("gcc", "cc1", "as")
REQUESTS = {"nginx": 500, "redis": 2000}
FEW = 3
SOURCE = "int add(int a, int b) { return a + b; }\n"
REDIS = "bind 127.0.0.1\nport {port}\nsave \"\"\ndir {folder}\npidfile {pid}\n"
# A file is opened for every request.
NGINX = """daemon off; worker_processes 1; user root; pid {pid}; error_log stderr;
events {{ worker_connections 64; }}
http {{ access_log off; keepalive_requests 10000000; client_body_temp_path {folder}/body;
 proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
 scgi_temp_path {folder}/scgi; server {{ listen 127.0.0.1:{port}; root {folder}; }} }}
"""
QUESTIONS = {
    "nginx": ("GET /file HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n"),
    "redis": ("SET k v\r\nGET k\r\n", "+OK\r\n$1\r\nv\r\n"),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One thing that is measured; `words` is what runs in a configuration."""

    name: str
    count: int
    # A number of calls gives the command.
    words: object
    # Does what was not learned: fails wherever something is enforced.
    outside: list
    # A number of requests gives the client, which is measured then, from outside.
    client: object = None

    @property
    def few(self):
        """Enough calls to learn from: nothing varies."""
        return min(self.count, FEW)

    @property
    def pid_file(self):
        return FOLDER / f"{self.name}.pid"

    @property
    def port(self):
        return PORT[self.name]

    @property
    def program(self):
        """The file that is executed, as the kernel names it."""
        return os.path.realpath(self.words(1)[0])


def lay_out(micro, client):
    """Everything on a tmpfs; programs of our own are static."""
    for folder in (FOLDER, OUTSIDE):
        folder.mkdir()
        (folder / "file").write_text("x" * 512)
        (folder / "unit.c").write_text(SOURCE)
    shutil.copy(client, FOLDER / "client")
    for name in (*CALLS, "compile"):
        shutil.copy(micro, FOLDER / name)
    program = shutil.copy("/bin/busybox", FOLDER / "true")
    subprocess.run(["mount", "--bind", program, "/bin/true"], check=True)
    kept = FOLDER / "kept"
    kept.mkdir()
    in_memory.keep([in_memory.found(name) for name in COMPILER], kept)
    for name, text in {"nginx": NGINX, "redis": REDIS}.items():
        own = text.format(folder=FOLDER, port=PORT[name], pid=FOLDER / f"{name}.pid")
        for folder in (FOLDER, OUTSIDE):
            (folder / f"{name}.conf").write_text(own)


def all_cases():
    """In the order of the table."""
    return [*map(micro_case, CALLS), compile_case(), server_case("nginx"), server_case("redis")]


def micro_case(name):
    argument = PORT.get(name, FOLDER / "file")
    program = FOLDER / name
    outside = [program, "open", 1, OUTSIDE / "file"]
    return Case(name, CALLS[name], lambda count: [program, name, count, argument], outside)


def compile_case():
    program = FOLDER / "compile"

    def words(source, count):
        # -pipe: no temporary file, whose name would be another each time.
        return [program, "run", count, "/usr/bin/gcc", "-pipe", "-c", source, "-o", FOLDER / "unit.o"]

    return Case("compile", COMPILES, lambda count: words(FOLDER / "unit.c", count), words(OUTSIDE / "unit.c", 1))


def server_case(name):
    commands = {"nginx": ["/usr/sbin/nginx", "-e", "stderr", "-c"], "redis": ["/usr/bin/redis-server"]}
    words = [*commands[name], FOLDER / f"{name}.conf"]
    outside = [*commands[name], OUTSIDE / f"{name}.conf"]
    client = [FOLDER / "client", PORT[name]]
    return Case(name, REQUESTS[name], lambda _: words, outside, lambda count: [*client, count, *QUESTIONS[name]])
