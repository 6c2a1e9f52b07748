"""Downloads, from the hosts that the operator allowed and no others.

The rules, applied anew at every redirect:

- Label Studio's own origin is always allowed, for the paths that serve task data; only there is the API key sent.
- Another host must be listed by name or address. A host listed by its exact name may have a private address (an
  object store of the same network), but never a link-local one, where clouds keep their credentials. A host that a
  wildcard lets in must have a public address.
- Addresses are checked before a connection is made, and it goes to the very address that was checked
  (:mod:`.guarded_http`).
- Proxies and ``.netrc`` of the environment are not used, cookies are not kept, bodies are cut off at a size, and
  answers, all their redirects together, at a time.
"""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from clickpose_labelstudio.guarded_http import PRIVATE_ADDRESS, deadline, deadline_has_passed, guarded_session
from clickpose_labelstudio.host_policy import HostPolicy
from clickpose_labelstudio.label_studio_auth import LabelStudioAuth, LabelStudioError, origin_of
from clickpose_labelstudio.ports import ImageError
from clickpose_labelstudio.settings import ServiceSettings

MAX_REDIRECTS = 5
CHUNK_BYTES = 64 * 1024


class Fetcher:
    """Downloads image files under a :class:`HostPolicy`. Safe to share between threads.

    Args:
        settings: hosts, limits, timeouts and Label Studio's address and key.
    """

    def __init__(self, settings: ServiceSettings):
        self._settings = settings
        self._policy = HostPolicy(settings.label_studio_url, settings.allowed_hosts)
        self._session = guarded_session(self._policy, settings)
        self._timeout_s = (settings.connect_timeout_s, settings.read_timeout_s)
        self._auth = LabelStudioAuth(
            settings.label_studio_url, settings.label_studio_api_key, self._session, self._timeout_s
        )

    def fetch(self, url: str) -> bytes:
        """Return the body of ``url``, following redirects that the policy allows.

        Raises:
            ImageError: if it is not allowed, not there, too large or too slow.
        """
        with deadline(self._settings.fetch_timeout_s):
            target: str | None = _normalize(url)
            for _ in range(MAX_REDIRECTS + 1):
                url = target or url
                self._policy.check_url(url)
                body, target = self._ask(url)
                if target is None:
                    return body
        raise ImageError(f"Image host {_host(url)} redirected more than {MAX_REDIRECTS} times")

    def _ask(self, url: str) -> tuple[bytes, str | None]:
        """Return the body of an allowed address, or the address that it redirects to."""
        try:
            with self._get(url) as response:
                if response.is_redirect:
                    return b"", self._redirect_target(url, response.headers["location"])
                self._check_status(url, response.status_code)
                return self._read_body(url, response), None
        except (requests.RequestException, HTTPError, OSError) as error:
            raise ImageError(f"Image host {_host(url)} {self._reason(error)}") from None
        except LabelStudioError as error:
            raise ImageError(str(error)) from None

    def _get(self, url: str) -> requests.Response:
        # "identity" keeps a small compressed body from unpacking into a huge one.
        headers = {"Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"}
        if self._policy.is_label_studio(url):
            headers |= self._auth.header()
        return self._session.get(url, headers=headers, stream=True, allow_redirects=False, timeout=self._timeout_s)

    def _redirect_target(self, url: str, location: str) -> str:
        try:
            target = _normalize(urljoin(url, location))
        except ValueError:  # of urljoin and of _normalize
            raise ImageError(f"Image host {_host(url)} redirected to an address that is not valid") from None
        if self._policy.is_label_studio(target) and "/user/login" in urlsplit(target).path:
            raise ImageError("Label Studio asks for a login to give out the image; set LABEL_STUDIO_API_KEY")
        return target

    def _check_status(self, url: str, status: int) -> None:
        if status in (401, 403) and self._policy.is_label_studio(url):
            raise ImageError(f"Label Studio refused the image (status {status}); check LABEL_STUDIO_API_KEY")
        if status != 200:
            raise ImageError(f"Image host {_host(url)} answered with status {status}")

    def _read_body(self, url: str, response: requests.Response) -> bytes:
        limit = self._settings.max_image_bytes
        too_large = f"Expected an image file of at most {limit} bytes, got more from {_host(url)}"
        announced = response.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            raise ImageError(too_large)
        body = bytearray()
        while chunk := response.raw.read1(CHUNK_BYTES):
            body += chunk
            if len(body) > limit:
                raise ImageError(too_large)
        return bytes(body)

    def _reason(self, error: Exception) -> str:
        """Say what went wrong without the URL, whose query may hold a signature."""
        if deadline_has_passed():
            return f"took longer than {self._settings.fetch_timeout_s:g} s"
        if PRIVATE_ADDRESS in str(error):
            return f"failed: {PRIVATE_ADDRESS}"
        for kind, sentence in _FAILURES:
            if isinstance(error, kind):
                return sentence
        return f"broke off: {type(error).__name__}"


_FAILURES = (
    (requests.Timeout, "failed: it did not answer in time"),
    (requests.exceptions.SSLError, "failed: its certificate is not trusted"),
    (requests.ConnectionError, "failed: it could not be reached"),
)


def _normalize(url: str) -> str:
    """Return the URL as it will be sent, so that what is checked is what is asked."""
    if "\\" in url or any(ord(character) < 32 for character in url):
        raise ImageError("Expected an image address without backslashes or control characters")
    try:
        prepared = requests.Request("GET", url).prepare().url or ""
        origin_of(prepared)
    except (ValueError, requests.RequestException):
        raise ImageError("Expected a valid http or https address") from None
    return prepared


def _host(url: str) -> str:
    return urlsplit(url).hostname or "?"
