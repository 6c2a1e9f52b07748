"""A small web server for the tests: canned answers by path, and the requests that it got."""

from __future__ import annotations

from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from helpers.servers import serving


class CannedServer(ThreadingHTTPServer):
    """Serves ``answers[path] = (status, headers, body or chunks)``; records (method, path, headers, body)."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, tuple[int, dict[str, str], object]] = {}
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def port(self) -> int:
        return self.server_address[1]

    def url(self, path: str = "", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        length = int(self.headers.get("Content-Length", 0))
        self.server.requests.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
        status, headers, body = self.server.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        if isinstance(body, bytes):
            self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for chunk in [body] if isinstance(body, bytes) else body:
                self.wfile.write(chunk)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client hung up, as it should on too large a body

    do_POST = do_PATCH = do_GET

    def log_message(self, *args):
        """Keep the test output quiet."""


def canned_server() -> AbstractContextManager[CannedServer]:
    """Run a :class:`CannedServer` for the length of a with block."""
    return serving(CannedServer())
