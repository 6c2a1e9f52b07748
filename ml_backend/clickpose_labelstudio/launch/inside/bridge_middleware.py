"""Django middleware that serves the bridge script and names it in every HTML page.

Needs Django only. The file to serve is named by the environment variable ``CLICKPOSE_BRIDGE_SCRIPT``; the text of
``CLICKPOSE_INSTANCE`` is served too, so that the launcher knows its own Label Studio from another one. The file that
``CLICKPOSE_PROGRESS`` names says how far the pre-annotation is; it holds numbers only, so it takes no login.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path
from typing import Any

from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpResponse
from django.utils.html import format_html

SCRIPT_PATH = "/clickpose/bridge.js"
INSTANCE_PATH = "/clickpose/instance"
PROGRESS_PATH = "/clickpose/progress"
CLOSING_TAG = b"</body>"


def _script() -> bytes:
    path = os.environ.get("CLICKPOSE_BRIDGE_SCRIPT")
    if not path:
        raise MiddlewareNotUsed("CLICKPOSE_BRIDGE_SCRIPT names no file")
    return Path(path).read_bytes()


class ServingMiddleware:
    """Answers for the script, the instance's name and the progress, before any other middleware.

    Label Studio's would set a cookie and have the answer vary by it, so that no browser could keep the script.
    """

    def __init__(self, get_response: Any):
        self.get_response = get_response
        self.script = _script()
        self.packed = gzip.compress(self.script)
        self.instance = os.environ.get("CLICKPOSE_INSTANCE", "")
        self.progress = Path(os.environ.get("CLICKPOSE_PROGRESS", os.devnull))

    def __call__(self, request: Any) -> Any:
        """Answer, or pass the request on."""
        if request.path == SCRIPT_PATH:
            return self._serve("gzip" in request.headers.get("Accept-Encoding", ""))
        if request.path == INSTANCE_PATH:
            return HttpResponse(self.instance, content_type="text/plain")
        if request.path == PROGRESS_PATH:
            return self._serve_progress()
        return self.get_response(request)

    def _serve(self, is_packed: bool) -> HttpResponse:
        response = HttpResponse(
            self.packed if is_packed else self.script, content_type="text/javascript; charset=utf-8"
        )
        if is_packed:
            response["Content-Encoding"] = "gzip"
        response["Vary"] = "Accept-Encoding"
        response["Cache-Control"] = "private, max-age=31536000, immutable"  # the address carries a hash
        response["X-Content-Type-Options"] = "nosniff"
        return response

    def _serve_progress(self) -> HttpResponse:
        try:
            text = self.progress.read_text(encoding="utf-8")
        except OSError:
            text = ""
        response = HttpResponse(text or "{}", content_type="application/json")
        response["Cache-Control"] = "no-store"
        return response


class TagMiddleware:
    """Adds ``<script src="/clickpose/bridge.js" …>`` before the end of the body of HTML pages."""

    def __init__(self, get_response: Any):
        self.get_response = get_response
        self.version = hashlib.sha256(_script()).hexdigest()[:12]

    def __call__(self, request: Any) -> Any:
        """Pass the request on, and add to the answer."""
        return self._add_tag(request, self.get_response(request))

    def _add_tag(self, request: Any, response: Any) -> None:
        is_page = not response.streaming and response.get("Content-Type", "").startswith("text/html")
        if not is_page or response.get("Content-Encoding"):
            return response
        head, closing, rest = response.content.rpartition(CLOSING_TAG)
        if closing:
            tag = format_html(
                '<script src="{}?v={}" data-progress="{}" nonce="{}" defer></script>',
                SCRIPT_PATH,
                self.version,
                PROGRESS_PATH,
                getattr(request, "csp_nonce", ""),
            )
            response.content = head + tag.encode() + closing + rest
            if response.has_header("Content-Length"):
                response["Content-Length"] = str(len(response.content))
        return response
