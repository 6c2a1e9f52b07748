"""A bucket of an S3-like store, as far as Label Studio's S3 storage asks: does it exist, what is in it, this object."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from helpers.servers import serving

BUCKET = "photos"
ENTRY = "<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>{}</Size></Contents>"
LISTING = (
    '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>{}</Name><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>{}</ListBucketResult>"
)


class ObjectStore(ThreadingHTTPServer):
    """Serves ``objects`` (key -> bytes) of one bucket; remembers for which of them a signed address was used."""

    daemon_threads = True

    def __init__(self, objects: Mapping[str, bytes]):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects = objects
        self.signed: list[str] = []

    @property
    def url(self) -> str:
        """Address of the store."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        address = urlsplit(self.path)
        bucket, _, key = unquote(address.path).lstrip("/").partition("/")
        if bucket != BUCKET:
            self._answer(404, b"")
        elif not key:
            self._answer(200, self._listing().encode())
        elif key not in self.server.objects:
            self._answer(404, b"")
        else:
            if "X-Amz-Signature" in parse_qs(address.query):
                self.server.signed.append(key)
            self._answer(200, self.server.objects[key])

    do_HEAD = do_GET

    def _listing(self) -> str:
        objects = self.server.objects.items()
        return LISTING.format(BUCKET, "".join(ENTRY.format(escape(quote(key)), len(data)) for key, data in objects))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"0"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        """Keep the test output quiet."""


def object_store(objects: Mapping[str, bytes]) -> AbstractContextManager[ObjectStore]:
    """Run an :class:`ObjectStore` for the length of a with block."""
    return serving(ObjectStore(objects))
