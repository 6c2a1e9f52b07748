"""HTTP connections that go to allowed addresses only, and never last longer than they may.

A name is looked up once, each of its addresses is checked before anything is sent there, and the connection goes to
that very address: a name that resolves differently the second time (DNS rebinding) gains nothing.

The timeouts of an HTTP library are for each wait alone. A host that sends a byte now and then, in its headers, between
chunks, as endless interim answers or trailers, would hold a thread for ever; :func:`deadline` is for the whole.
"""

from __future__ import annotations

import http.client
import io
import math
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from clickpose_labelstudio.host_policy import HostPolicy
from clickpose_labelstudio.settings import ServiceSettings

PRIVATE_ADDRESS = "its address is private or reserved, and no --allow-host names it exactly"

_deadline: ContextVar[float] = ContextVar("_deadline", default=math.inf)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Let every answer that is read in this block end with a ``TimeoutError`` once so many seconds have passed."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def deadline_has_passed() -> bool:
    """Tell whether the time of the :func:`deadline` that this is called in is over."""
    return time.monotonic() >= _deadline.get()


def guarded_session(policy: HostPolicy, settings: ServiceSettings) -> requests.Session:
    """Return a session without proxies, ``.netrc`` and cookies, whose connections keep to the policy.

    It follows no redirects: whoever uses it checks where they lead.
    """
    session = _Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    if settings.ca_bundle is not None:
        session.verify = str(settings.ca_bundle)
    for scheme in ("http://", "https://"):
        session.mount(scheme, _GuardedAdapter(policy))
    return session


class _Session(requests.Session):
    def get_redirect_target(self, response: requests.Response) -> None:
        """Leave ``Location`` alone: even where redirects are off it would be parsed, and raise where it is no URL."""


class _GuardedAdapter(HTTPAdapter):
    """An adapter with guarded connections."""

    def __init__(self, policy: HostPolicy):
        self._policy = policy
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _guarded_pool(HTTPConnectionPool, HTTPConnection, self._policy),
            "https": _guarded_pool(HTTPSConnectionPool, HTTPSConnection, self._policy),
        }


def _guarded_pool(pool_class: type, connection_class: type, policy: HostPolicy) -> type:
    class GuardedConnection(connection_class):
        response_class = _DeadlineResponse

        def _new_conn(self) -> socket.socket:
            return _connect(self, policy)

    return type(f"Guarded{pool_class.__name__}", (pool_class,), {"ConnectionCls": GuardedConnection})


def _connect(connection: HTTPConnection, policy: HostPolicy) -> socket.socket:
    """Connect to the first address of a host that is allowed and answers."""
    host, port = connection.host, connection.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:  # UnicodeError: a label too long for a name
        reason = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
        raise NameResolutionError(host, connection, reason) from error
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    allowed = [address for address in addresses if policy.allows_address(host, port, address)]
    if not allowed:
        raise NewConnectionError(connection, PRIVATE_ADDRESS)
    for address in allowed:
        if deadline_has_passed():
            raise ConnectTimeoutError(connection, "the deadline has passed")
        try:
            wait = math.inf if connection.timeout is None else connection.timeout
            seconds = min(wait, _deadline.get() - time.monotonic())
            timeout = None if seconds == math.inf else seconds
            return create_connection((address, port), timeout, socket_options=connection.socket_options)
        except OSError as error:
            failure = error
    raise NewConnectionError(connection, f"no address answers: {failure}") from failure


class _DeadlineResponse(http.client.HTTPResponse):
    """An answer whose every byte, the status line's too, is read before the deadline or not at all."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any):
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_DeadlineReader(sock, self.fp.detach(), _deadline.get()))


class _DeadlineReader(io.RawIOBase):
    """Reads a socket, each wait as long as its timeout and the deadline allow.

    Args:
        sock: the socket, with its timeout.
        raw: its own reader.
        until: deadline on the monotonic clock.
    """

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, until: float):
        self._sock, self._raw, self._until = sock, raw, until
        self._timeout = sock.gettimeout() or math.inf

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        patience = min(self._timeout, left)
        self._sock.settimeout(patience if math.isfinite(patience) else None)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
