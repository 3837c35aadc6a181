"""A web service with holes, on purpose: path traversal, shell injection, remote evaluation.

Its good behaviour (users.sh) uses none of the holes. Everything that an attack could want is imported at the start,
so that an attack is stopped at what it does and not at a module that it would have to load first.
"""

import base64
import ctypes
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from http.server import HTTPServer
from pathlib import Path
from urllib.parse import parse_qsl
from urllib.parse import urlsplit

ADDRESS = ("127.0.0.1", 18082)
LIBC = ctypes.CDLL(None, use_errno=True)
TOOLBOX = {
    module.__name__: module for module in (base64, ctypes, mmap, os, signal, socket, struct, subprocess, time)
}


class VictimHandler(BaseHTTPRequestHandler):
    """Routes are methods; a request that fails is answered with why."""

    workdir: Path
    sibling: dict

    def do_GET(self):
        address = urlsplit(self.path)
        self.answer(address.path.strip("/") or "front", dict(parse_qsl(address.query)))

    do_POST = do_GET

    def answer(self, route, query):
        routes = {
            "front": lambda: "nothing to see",
            "page": lambda: (self.workdir / "data" / query["file"]).read_text(),
            "count": lambda: self.output(f"wc -l < {self.workdir}/data/{query['file']}", shell=True),
            "report": lambda: self.output([f"{self.workdir}/bin/tool"]),
            "script": lambda: self.output([f"{self.workdir}/bin/report.sh"]),
            "upload": lambda: self.upload(query["name"]),
            "run": lambda: self.output(["/bin/bash", "-c", query["cmd"]]),
            "eval": self.evaluate,
        }
        try:
            status, text = 200, routes[route]()
        except Exception as error:
            status, text = 500, f"refused: {error!r}"
        self.respond(status, text.encode())

    def respond(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def output(self, command, **options):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=10, **options)
        return done.stdout.decode(errors="replace")

    def upload(self, name):
        with open(self.workdir / "uploads" / name, "wb") as file:
            file.write(self.body())
        return "stored"

    def evaluate(self):
        request = json.loads(self.body())
        scope = {**TOOLBOX, "libc": LIBC, "sibling": self.sibling, "parameters": request["parameters"], "result": ""}
        exec(request["code"], scope)
        return str(scope["result"])

    def body(self):
        return self.rfile.read(int(self.headers["Content-Length"]))


def main():
    workdir = Path(sys.argv[1])
    VictimHandler.workdir = workdir
    address, length = wait_for_line(workdir / "sibling.address").split()
    VictimHandler.sibling = {"pid": int(sys.argv[2]), "address": int(address, 16), "length": int(length)}
    HTTPServer(ADDRESS, VictimHandler).serve_forever()


def wait_for_line(path):
    while not (line := path.read_text()).endswith("\n"):
        time.sleep(0.02)
    return line


if __name__ == "__main__":
    main()
