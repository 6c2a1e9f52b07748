"""Downloads, from the hosts that the operator allowed and no others.

The rules, applied anew at every redirect:

- Label Studio's own origin is always allowed, for the paths that serve task data; only there is the API key sent.
- Another host must be listed by name or address. A host listed by its exact name may have a private address (an
  object store of the same network), but never a link-local one, where clouds keep their credentials. A host that a
  wildcard lets in must have a public address.
- Addresses are checked on the connected socket, before a byte is sent, so a name that resolves differently the second
  time (DNS rebinding) gains nothing.
- Proxies and ``.netrc`` of the environment are not used, cookies are not kept, and bodies are cut off at a size and a
  time.
"""

from __future__ import annotations

import ipaddress
import re
import time
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import unquote, urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError

from clickpose_labelstudio.label_studio_auth import LabelStudioAuth, LabelStudioError, origin_of
from clickpose_labelstudio.ports import ImageError
from clickpose_labelstudio.settings import ServiceSettings

MAX_REDIRECTS = 5
CHUNK_BYTES = 64 * 1024
# Where Label Studio serves task data; the API key opens much more than these.
DATA_PATHS = re.compile(r"/(data/|storage-data/|(tasks|projects)/\d+/(resolve|presign)/)")


class HostPolicy:
    """Decides which hosts and addresses may be asked for an image.

    Args:
        label_studio_url: origin that is always allowed.
        allowed_hosts: ``"host"``, ``"host:port"``, an IP address (IPv6 in brackets where a port follows), or
            ``"*.example.org"``.
    """

    def __init__(self, label_studio_url: str, allowed_hosts: tuple[str, ...]):
        self._label_studio_origin = origin_of(label_studio_url)
        self._label_studio_path = urlsplit(label_studio_url).path.rstrip("/")
        self._names = {_without_brackets(host) for host in allowed_hosts if not host.startswith("*.")}
        self._suffixes = tuple(host[1:] for host in allowed_hosts if host.startswith("*."))

    def is_label_studio(self, url: str) -> bool:
        """Tell whether a URL is of Label Studio's origin (scheme, host and port)."""
        return origin_of(url) == self._label_studio_origin

    def check_url(self, url: str) -> None:
        """Refuse a URL that is not http(s), names a user, or is of a host that is not allowed.

        Raises:
            ImageError: saying which host to allow.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ImageError("Expected an http or https address with a host")
        if "@" in parts.netloc:
            raise ImageError("Expected an image address without a user name in it")
        if self.is_label_studio(url):
            path = unquote(parts.path).removeprefix(self._label_studio_path)
            if not DATA_PATHS.match(path) or ".." in path.split("/"):
                raise ImageError("Expected an address where Label Studio serves task data, such as /data/upload/…")
            return
        _, host, port = origin_of(url)
        if not ({host, f"{host}:{port}"} & self._names or host.endswith(self._suffixes)):
            raise ImageError(f"Host {host} is not allowed; an operator can allow it with --allow-host {host}")

    def allows_address(self, host: str, port: int, address: str) -> bool:
        """Tell whether ``host``, already allowed by name, may live at an IP address."""
        host = host.rstrip(".").lower()
        if (host, port) == self._label_studio_origin[1:]:
            return True
        ip = ipaddress.ip_address(address.split("%")[0])
        ip = getattr(ip, "ipv4_mapped", None) or ip
        if not {host, f"{host}:{port}"} & self._names:
            return ip.is_global and not ip.is_multicast
        return _is_ip_address(host) or not (ip.is_link_local or ip.is_multicast or ip.is_unspecified)


class Fetcher:
    """Downloads image files under a :class:`HostPolicy`. Safe to share between threads.

    Args:
        settings: hosts, limits, timeouts and Label Studio's address and key.
    """

    def __init__(self, settings: ServiceSettings):
        self._settings = settings
        self._policy = HostPolicy(settings.label_studio_url, settings.allowed_hosts)
        self._session = _guarded_session(self._policy, settings)
        self._timeout_s = (settings.connect_timeout_s, settings.read_timeout_s)
        self._auth = LabelStudioAuth(
            settings.label_studio_url, settings.label_studio_api_key, self._session, self._timeout_s
        )

    def fetch(self, url: str) -> bytes:
        """Return the body of ``url``, following redirects that the policy allows.

        Raises:
            ImageError: if it is not allowed, not there, too large or too slow.
        """
        deadline = time.monotonic() + self._settings.fetch_timeout_s
        try:
            for _ in range(MAX_REDIRECTS + 1):
                url = _normalize(url)
                self._policy.check_url(url)
                with self._get(url) as response:
                    if not response.is_redirect:
                        self._check_status(url, response.status_code)
                        return self._read_body(url, response, deadline)
                    url = urljoin(url, response.headers["location"])
                    self._check_login(url)
        except requests.RequestException as error:
            raise ImageError(f"Image host {_host(url)} failed: {_reason(error)}") from None
        except (HTTPError, OSError) as error:
            raise ImageError(f"Image host {_host(url)} broke off: {type(error).__name__}") from None
        except LabelStudioError as error:
            raise ImageError(str(error)) from None
        raise ImageError(f"Image host {_host(url)} redirected more than {MAX_REDIRECTS} times")

    def _get(self, url: str) -> requests.Response:
        # "identity" keeps a small compressed body from unpacking into a huge one.
        headers = {"Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"}
        if self._policy.is_label_studio(url):
            headers |= self._auth.header()
        return self._session.get(url, headers=headers, stream=True, allow_redirects=False, timeout=self._timeout_s)

    def _check_login(self, url: str) -> None:
        if self._policy.is_label_studio(url) and "/user/login" in urlsplit(url).path:
            raise ImageError("Label Studio asks for a login to give out the image; set LABEL_STUDIO_API_KEY")

    def _check_status(self, url: str, status: int) -> None:
        if status in (401, 403) and self._policy.is_label_studio(url):
            raise ImageError(f"Label Studio refused the image (status {status}); check LABEL_STUDIO_API_KEY")
        if status != 200:
            raise ImageError(f"Image host {_host(url)} answered with status {status}")

    def _read_body(self, url: str, response: requests.Response, deadline: float) -> bytes:
        limit = self._settings.max_image_bytes
        too_large = f"Expected an image file of at most {limit} bytes, got more from {_host(url)}"
        announced = response.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            raise ImageError(too_large)
        body = bytearray()
        # read1 returns what has arrived, so a host that sends a byte now and then meets the deadline too.
        while chunk := response.raw.read1(CHUNK_BYTES):
            body += chunk
            if len(body) > limit:
                raise ImageError(too_large)
            if time.monotonic() > deadline:
                raise ImageError(f"Image host {_host(url)} took longer than {self._settings.fetch_timeout_s:g} s")
        return bytes(body)


def _normalize(url: str) -> str:
    """Return the URL as it will be sent, so that what is checked is what is asked."""
    if "\\" in url or any(ord(character) < 32 for character in url):
        raise ImageError("Expected an image address without backslashes or control characters")
    try:
        prepared = requests.Request("GET", url).prepare().url
        origin_of(prepared)
    except (ValueError, requests.RequestException):
        raise ImageError("Expected a valid http or https address") from None
    return prepared


def _guarded_session(policy: HostPolicy, settings: ServiceSettings) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    if settings.ca_bundle is not None:
        session.verify = str(settings.ca_bundle)
    for scheme in ("http://", "https://"):
        session.mount(scheme, _GuardedAdapter(policy))
    return session


class _GuardedAdapter(HTTPAdapter):
    """An adapter whose connections check the address that they reached before they speak."""

    def __init__(self, policy: HostPolicy):
        self._policy = policy
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _guarded_pool(HTTPConnectionPool, HTTPConnection, self._policy),
            "https": _guarded_pool(HTTPSConnectionPool, HTTPSConnection, self._policy),
        }


def _guarded_pool(pool_class: type, connection_class: type, policy: HostPolicy) -> type:
    class GuardedConnection(connection_class):
        def _new_conn(self):
            sock = super()._new_conn()
            if not policy.allows_address(self.host, self.port, sock.getpeername()[0]):
                sock.close()
                raise NewConnectionError(self, "its address is private, and no --allow-host names it exactly")
            return sock

    return type(f"Guarded{pool_class.__name__}", (pool_class,), {"ConnectionCls": GuardedConnection})


def _reason(error: requests.RequestException) -> str:
    """Say what went wrong without the URL, whose query may hold a signature."""
    if "its address is private" in str(error):
        return "its address is private or reserved, and no --allow-host names it exactly"
    if isinstance(error, requests.Timeout):
        return "it did not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted"
    return "it could not be reached" if isinstance(error, requests.ConnectionError) else type(error).__name__


def _host(url: str) -> str:
    return urlsplit(url).hostname or "?"


def _without_brackets(host: str) -> str:
    return re.sub(r"^\[([0-9a-f:]+)\]", r"\1", host)


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
