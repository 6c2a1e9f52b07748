"""Who we are to Label Studio: a legacy token or a personal access token, sent to its own address only."""

from __future__ import annotations

import base64
import json
import threading
import time
from urllib.parse import urlsplit

import requests

REFRESH_MARGIN_S = 30.0
DEFAULT_ACCESS_LIFETIME_S = 240.0


class LabelStudioError(ValueError):
    """Label Studio could not be reached or refused; the message never holds the key."""


class LabelStudioAuth:
    """Turns an API key into an ``Authorization`` header, for Label Studio's own origin only.

    A legacy token is sent as it is. A personal access token is a JSON web token that Label Studio exchanges for a
    short-lived one, which is kept until shortly before it expires. Safe to share between threads.

    Args:
        url: address of Label Studio.
        api_key: legacy token or personal access token; empty for no authorization.
        session: session to ask for new tokens with.
        timeout_s: seconds to wait for Label Studio, as (connect, read).
    """

    def __init__(self, url: str, api_key: str, session: requests.Session, timeout_s: tuple[float, float] = (3.0, 20.0)):
        self._url = url.rstrip("/")
        self._api_key = api_key
        self._session = session
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._access_token = ""
        self._expires_at = 0.0

    def header(self) -> dict[str, str]:
        """Return the header to send, or an empty dict where no key is configured.

        Raises:
            LabelStudioError: if Label Studio gives no access token for the personal access token.
        """
        if not self._api_key:
            return {}
        if _jwt_claims(self._api_key) is None:
            return {"Authorization": f"Token {self._api_key}"}
        with self._lock:
            if time.time() >= self._expires_at - REFRESH_MARGIN_S:
                self._refresh()
            return {"Authorization": f"Bearer {self._access_token}"}

    def _refresh(self) -> None:
        try:
            response = self._session.post(
                f"{self._url}/api/token/refresh/",
                json={"refresh": self._api_key},
                timeout=self._timeout_s,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise LabelStudioError(f"Label Studio could not be asked for a token: {type(error).__name__}") from None
        token = _access_token(response)
        if token is None:
            raise LabelStudioError(
                f"Label Studio refused the personal access token (status {response.status_code}); "
                "check that LABEL_STUDIO_API_KEY is complete and has not been revoked"
            )
        claims = _jwt_claims(token) or {}
        expires_at = claims.get("exp")
        self._expires_at = (
            float(expires_at) if isinstance(expires_at, int | float) else time.time() + DEFAULT_ACCESS_LIFETIME_S
        )
        self._access_token = token


def _access_token(response: requests.Response) -> str | None:
    """Return the token of Label Studio's answer, or None if it gave none."""
    if response.status_code != 200:
        return None
    try:
        token = response.json()["access"]
    except (ValueError, KeyError, TypeError):
        return None
    return token if isinstance(token, str) and token.isascii() and token.isprintable() else None


def _jwt_claims(token: str) -> dict | None:
    """Return the claims of a JSON web token, unverified (it is our own), or None if it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Return (scheme, host, port) of a URL, the port that of the scheme where none is written.

    Raises:
        ValueError: for a port that is no number.
    """
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").rstrip("."), port
