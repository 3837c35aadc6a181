"""A small web service: notes in SQLite, static files beside them.

Only the standard library, one thread a request, as such services are written. Arguments: WORKDIR [PORT].
"""

import json
import sqlite3
import sys
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler
from http.server import ThreadingHTTPServer
from pathlib import Path

HOST = "127.0.0.1"
PORT = 18081
SCHEMA = "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"


class NotesHandler(SimpleHTTPRequestHandler):
    """Serves /notes from the database and everything else from the static directory."""

    workdir: Path

    def __init__(self, *args):
        super().__init__(*args, directory=str(self.workdir / "static"))

    def do_GET(self):
        if self.path == "/notes":
            self.answer(HTTPStatus.OK, self.query("SELECT id, text FROM notes ORDER BY id"))
        elif self.path.startswith("/notes/"):
            rows = self.query("SELECT id, text FROM notes WHERE id = ?", self.note_id())
            self.answer(HTTPStatus.OK if rows else HTTPStatus.NOT_FOUND, rows)
        else:
            super().do_GET()

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        text = json.loads(self.rfile.read(length))["text"]
        self.query("INSERT INTO notes (text) VALUES (?)", text)
        self.answer(HTTPStatus.CREATED, [])

    def do_DELETE(self):
        self.query("DELETE FROM notes WHERE id = ?", self.note_id())
        self.answer(HTTPStatus.OK, [])

    def note_id(self):
        return int(self.path.rpartition("/")[2])

    def query(self, statement, *values):
        connection = sqlite3.connect(self.workdir / "notes.db", timeout=30)
        try:
            with connection:
                return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    def answer(self, status, rows):
        body = json.dumps([{"id": row[0], "text": row[1]} for row in rows]).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main():
    NotesHandler.workdir = Path(sys.argv[1])
    with sqlite3.connect(NotesHandler.workdir / "notes.db") as connection:
        connection.execute(SCHEMA)
    port = int(sys.argv[2]) if len(sys.argv) > 2 else PORT
    ThreadingHTTPServer((HOST, port), NotesHandler).serve_forever()


if __name__ == "__main__":
    main()
