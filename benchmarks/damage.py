"""Real requests, damaged at random but the same way each time: values, JSON, bodies, headers, methods, paths, framing.

:func:`damaged` makes the ``number``-th request of a seed from a recorded one; nothing is sent here.
"""

from __future__ import annotations

import contextlib
import copy
import gzip
import json
import random
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT", "post", "BREW", "")
CONTENT_TYPES = (
    "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/form-data",
    "application/json; charset=utf-16", "application/json; charset=nothing", "image/png", "application/json, text/html",
    "a" * 3000, "/", "application/json\tx",
)  # fmt: skip
HEADERS = (
    ("Authorization", "Basic"), ("Authorization", "Basic ????"), ("Authorization", "Basic " + "A" * 6000),
    ("Authorization", "Basic /////w=="), ("Authorization", "Bearer x.y.z"), ("Authorization", "Digest username=a"),
    ("X-Request-ID", "a\x01b"), ("X-Request-ID", "x" * 5000), ("X-Request-ID", "{{7*7}}"),
    ("Host", ""), ("Host", "evil.example.org"), ("Host", "[::"), ("Host", "a" * 2000), ("Expect", "100-continue"),
    ("Expect", "the unexpected"), ("Range", "bytes=0-0,1-1"), ("X-HTTP-Method-Override", "DELETE"),
    ("X-Forwarded-For", "127.0.0.1, ::1"), ("X-Forwarded-Proto", "gopher"), ("If-None-Match", "*"),
    ("Accept-Encoding", "gzip;q=x"), ("Cookie", "a=" + "b" * 4000), ("Upgrade", "h2c"), ("Connection", "upgrade"),
    ("Content-Encoding", "gzip"), ("Content-Encoding", "br"), ("Transfer-Encoding", "gzip"), ("Accept", "\xff\xfe"),
    ("X-Large", "y" * 20_000), ("Bad Name", "1"), ("", "no name"), ("Content-Length", "7"), ("Content-Length", "-1"),
    ("Content-Length", "1e3"), ("Content-Length", "9" * 30), ("Content-Length", "99999999"),
)  # fmt: skip
QUERIES = (
    "?project=3.1795225711", "?project=", "?project=abc", "?project=1&project=2", "?project=-1",
    "?project=" + "9" * 400, "?project=%00", "?project=%ff%fe", "?project=../../etc", "?project[]=1", "?%",
    "?" + "a=b&" * 500, "?project=1e9", "?project=٣", "?project=3%0d%0aX: y",
)  # fmt: skip
NUMBERS = (0, -1, 1, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**30, 10**400, 1e308, 5e-324, -0.0, 0.1, 100.0001, 1e-9)
DATES = (
    "2026-13-45T99:99:99Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-11-21", "20261121T014833Z",
    "2026-11-21T01:48:33", "2026-W47-6", "1795225711", "٢٠٢٦-11-21T01:48:33Z", "2026-11-21T24:00:00Z", "soon",
)  # fmt: skip
TEXTS = (
    "", " ", "nose", "box", "cp-0001", "<View/>", "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
    "../../etc/passwd", "/data/local-files/?d=../../etc/passwd", "data:,", "data:image/png;base64,AAAA", "s3://b/a",
    "http://127.0.0.1:1/a", "http://[::1", "file:///etc/passwd", "\0", "\ud800", "\u202e\u0661", "é" * 300,
    "x" * 100_000, "null", "'; DROP TABLE events; --", "{{7*7}}", "%s%n", "NaN", "\r\nX: y",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """A request as it goes over the wire.

    Attributes:
        endpoint: the route that the recorded request was for.
        method, path: of the request line; the path with its query.
        headers: (name, value) pairs, without the length.
        body: bytes of the body.
        framed: whether the length that is announced is that of the body, so that an answer must come.
        damage: what was done to it.
    """

    endpoint: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    framed: bool = True
    damage: tuple[str, ...] = ()

    def wire(self) -> bytes:
        """Return what is sent."""
        headers = list(self.headers)
        names = {name.lower() for name, _ in headers}
        if "host" not in names:
            headers.insert(0, ("Host", "localhost"))
        if "content-length" not in names and "transfer-encoding" not in names and (self.body or self.method == "POST"):
            headers.append(("Content-Length", str(len(self.body))))
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1", "replace") + self.body


def damaged(recorded: Sequence[Request], seed: int, number: int) -> Request:
    """Return the ``number``-th request: a recorded one with one to three damages."""
    rng = random.Random(f"{seed}:{number}")
    says_more = {request.endpoint: 3 if request.body else 1 for request in recorded}
    (endpoint,) = rng.choices(sorted(says_more), [says_more[each] for each in sorted(says_more)])
    request = rng.choice([request for request in recorded if request.endpoint == endpoint])
    for _ in range(rng.choice((1, 1, 2, 3))):
        damage = rng.choice(VALUE_DAMAGES if request.body and rng.random() < 0.6 else WIRE_DAMAGES)
        with contextlib.suppress(RecursionError):  # what is nested that deeply already stays so
            request = damage(rng, request)
        request = replace(request, damage=(*request.damage, damage.__name__.strip("_")))
    return request


# Damages of what the body says


def _changed(rng: random.Random, request: Request, change: Callable[[random.Random, Any, Any], None]) -> Request:
    """Return a request whose JSON was changed at some place; ``change`` gets its holder and key."""
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return request
    places = list(_places(body))
    if not places:
        return request
    holder, key = rng.choice(places)
    change(rng, holder, key)
    return replace(request, body=json.dumps(body).encode("utf-8", "surrogatepass"))


def _places(value: Any) -> Any:
    """Yield (holder, key) of every value inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from _places(inner)


def _strange(rng: random.Random) -> Any:
    leaf: Callable[[], Any] = lambda: rng.choice((None, True, False, rng.choice(NUMBERS), rng.choice(TEXTS), {}, []))  # noqa: E731
    return rng.choice((leaf(), leaf(), [leaf(), leaf()], {rng.choice(TEXTS[:20]): leaf(), "id": leaf()}))


def replaced(rng: random.Random, request: Request) -> Request:
    return _changed(rng, request, lambda rng, holder, key: holder.__setitem__(key, _strange(rng)))


def exaggerated(rng: random.Random, request: Request) -> Request:
    """Replace a value by a strange one of its own kind: a number by a number, a date by a date."""

    def change(rng: random.Random, holder: Any, key: Any) -> None:
        value = holder[key]
        if isinstance(value, str):
            holder[key] = rng.choice(DATES if re.match(r"\d{4}-", value) else TEXTS)
        elif isinstance(value, int | float):
            holder[key] = rng.choice(NUMBERS)
        else:
            holder[key] = type(value)()

    return _changed(rng, request, change)


def dropped(rng: random.Random, request: Request) -> Request:
    return _changed(rng, request, lambda rng, holder, key: holder.__delitem__(key))


def as_another_type(rng: random.Random, request: Request) -> Request:
    def change(rng: random.Random, holder: Any, key: Any) -> None:
        value = holder[key]
        holder[key] = rng.choice((str(value)[:1000], [value], {"value": value}, bool(value), [value] * 3))

    return _changed(rng, request, change)


def doubled(rng: random.Random, request: Request) -> Request:
    def change(rng: random.Random, holder: Any, key: Any) -> None:
        if isinstance(holder, list):
            holder.extend(copy.deepcopy(holder[key]) for _ in range(rng.choice((1, 1, 300))))
        else:
            holder[f"{key}_"] = copy.deepcopy(holder[key])

    return _changed(rng, request, change)


def exchanged(rng: random.Random, request: Request) -> Request:
    """Put what stands at one place to another."""
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return request
    places = list(_places(body))
    if len(places) < 2:
        return request
    (one, a), (other, b) = rng.sample(places, 2)
    one[a] = copy.deepcopy(other[b])
    return replace(request, body=json.dumps(body).encode("utf-8", "surrogatepass"))


def written_twice(rng: random.Random, request: Request) -> Request:
    """Give an object the same key twice."""
    head = rng.choice((b'{"tasks": 1, ', b'{"project": null, ', b'{"action": "ANNOTATION_CREATED", ', b'{"job": "x", '))
    return replace(request, body=head + request.body.lstrip()[1:])


def nested(rng: random.Random, request: Request) -> Request:
    depth = rng.choice((50, 900, 3_000, 100_000))
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    deep = opening * depth + b"1" + closing * depth
    key = rng.choice((b"tasks", b"params", b"annotation", b"project", b"label_config", b"schema", b"job", b"x"))
    return replace(request, body=request.body.rstrip()[:-1] + b', "' + key + b'": ' + deep + b"}")


def not_a_number(rng: random.Random, request: Request) -> Request:
    odd = rng.choice(
        (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"0" * 5000 + b"1", b"9" * 6000, b"1." + b"3" * 6000)
    )
    digits = [i for i, byte in enumerate(request.body) if 48 <= byte < 58]
    if not digits:
        return request
    at = rng.choice(digits)
    return replace(request, body=request.body[:at] + odd + request.body[at + 1 :])


def flipped(rng: random.Random, request: Request) -> Request:
    body = bytearray(request.body)
    for _ in range(rng.randint(1, 6)):
        body[rng.randrange(len(body))] = rng.randrange(256)
    return replace(request, body=bytes(body))


def cut_short(rng: random.Random, request: Request) -> Request:
    return replace(request, body=request.body[: rng.randrange(len(request.body))])


def in_another_encoding(rng: random.Random, request: Request) -> Request:
    encodings = ("utf-16", "utf-32", "utf-8-sig", "utf-7")
    return replace(request, body=request.body.decode("utf-8", "replace").encode(rng.choice(encodings), "replace"))


def something_else(rng: random.Random, request: Request) -> Request:
    body = rng.choice(
        (b"", b"null", b"[]", b'""', b"1", b"{}", b"{", b"[{}]", b"\x89PNG\r\n\x1a\n", b"a=b", b"\0" * 100)
    )
    return replace(request, body=body)


def packed(rng: random.Random, request: Request) -> Request:
    """Compress the body: said or not, whole or not, and once in a while a bomb."""
    body = rng.choice((request.body, request.body, b" " * 20_000_000))
    body = gzip.compress(body, mtime=0) if rng.random() < 0.5 else zlib.compress(body)
    body = body[: rng.choice((len(body), len(body), len(body) // 2))]
    said = (
        (("Content-Encoding", rng.choice(("gzip", "deflate", "br", "identity, gzip"))),) if rng.random() < 0.8 else ()
    )
    return replace(request, body=body, headers=(*request.headers, *said))


# Damages of what is around it


def method_changed(rng: random.Random, request: Request) -> Request:
    return replace(request, method=rng.choice(METHODS))


def path_changed(rng: random.Random, request: Request) -> Request:
    path = request.path
    others = (
        path + "/", path.upper(), "/" + path, path + "/..", path + "/../predict", path + "%00", path + "%2f..%2fetc",
        path.replace("/", "//"), path + ";a=b", path + "#x", "/..%c0%af..%c0%afetc/passwd", "http://a.example" + path,
        path + quote("\u0661\u202e"), path + "/" + "a" * 9000, path[1:], "*", path + "\xff", path + " HTTP/1.1",
    )  # fmt: skip
    return replace(request, path=rng.choice(others))


def asked_of_something(rng: random.Random, request: Request) -> Request:
    return replace(request, path=request.path.partition("?")[0] + rng.choice(QUERIES))


def type_changed(rng: random.Random, request: Request) -> Request:
    others = tuple(pair for pair in request.headers if pair[0].lower() != "content-type")
    return replace(request, headers=(*others, ("Content-Type", rng.choice(CONTENT_TYPES))))


def header_added(rng: random.Random, request: Request) -> Request:
    name, value = rng.choice(HEADERS)
    framed = request.framed and name.lower() not in ("content-length", "transfer-encoding", "upgrade", "connection")
    return replace(request, headers=(*request.headers, (name, value)), framed=framed)


def headers_gone(rng: random.Random, request: Request) -> Request:
    return replace(request, headers=())


def many_headers(rng: random.Random, request: Request) -> Request:
    return replace(request, headers=(*request.headers, *((f"X-{i}", str(i)) for i in range(rng.choice((90, 400))))))


def length_wrong(rng: random.Random, request: Request) -> Request:
    """Announce more than comes, or less."""
    length = max(0, len(request.body) + rng.choice((-20, -1, 1, 50, 5000)))
    return replace(request, headers=(*request.headers, ("Content-Length", str(length))), framed=False)


def in_chunks(rng: random.Random, request: Request) -> Request:
    size = rng.choice((1, 100, 4096)) if len(request.body) < 5000 else 4096
    parts = [request.body[at : at + size] for at in range(0, len(request.body), size)]
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    body = rng.choice(
        (body, body, body[: len(body) // 2], b"zz\r\n" + body, b"ffffffffffffffff\r\n" + body, b"-1\r\n" + body)
    )
    return replace(request, body=body, headers=(*request.headers, ("Transfer-Encoding", "chunked")), framed=False)


def several_damages_of_the_line(rng: random.Random, request: Request) -> Request:
    """Break the request line itself."""
    path = rng.choice(("", " ", "/ /", "/\x00", "/\x7f", "/a\tb", "?", "/" + "b" * 70_000))
    return replace(request, path=path, framed=False)


VALUE_DAMAGES = (
    replaced, replaced, exaggerated, exaggerated, dropped, dropped, as_another_type, as_another_type, doubled,
    exchanged, written_twice, nested, not_a_number, flipped, cut_short, in_another_encoding, something_else, packed,
)  # fmt: skip
WIRE_DAMAGES = (
    method_changed, path_changed, path_changed, asked_of_something, asked_of_something, type_changed, header_added,
    header_added, headers_gone, many_headers, length_wrong, in_chunks, several_damages_of_the_line,
)  # fmt: skip
