"""The images that tasks point at: from Label Studio, from allowed hosts and folders, or from the task itself."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
from pathlib import Path
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit

import numpy as np

from clickpose import image_io
from clickpose.checks import described
from clickpose_labelstudio.fetching import Fetcher
from clickpose_labelstudio.label_studio_auth import origin_of
from clickpose_labelstudio.pixel_budget import PixelBudget
from clickpose_labelstudio.ports import ImageError, LoadedImage
from clickpose_labelstudio.references import CLOUD_SCHEMES, LOCAL_FILES_PATH
from clickpose_labelstudio.settings import ServiceSettings

MAX_REFERENCE_CHARACTERS = 8192  # of an address; a data URI has the limit of an image file


class TaskImages:
    """Loads images by the references that Label Studio puts into tasks. Safe to share between threads.

    =================================  =================================================================
    reference                          comes from
    =================================  =================================================================
    ``/data/local-files/?d=a/b.jpg``   an allowed local root if it holds the file, else Label Studio
    ``/data/upload/…``, other paths    Label Studio, with the API key
    ``https://…``                      Label Studio or an allowed host
    ``data:image/png;base64,…``        the reference itself
    ``s3://…``, ``gs://…``             Label Studio, once :func:`.through_label_studio` has been told the task
    =================================  =================================================================

    Args:
        settings: limits, local roots and Label Studio's address.
        fetcher: downloads; made from the settings where None.
    """

    def __init__(self, settings: ServiceSettings, fetcher: Fetcher | None = None):
        self._settings = settings
        self._fetcher = Fetcher(settings) if fetcher is None else fetcher
        self._budget = PixelBudget()

    def load(self, reference: str) -> LoadedImage:
        """Load and decode an image.

        Args:
            reference: see the table of the class.

        Returns:
            The pixels, (H, W, 3) uint8 RGB, upright, and the hash of the file's bytes.

        Raises:
            ImageError: if the image is not allowed, not there, too large or no image.
        """
        data = self._read(reference)
        if len(data) > self._settings.max_image_bytes:
            raise ImageError(f"Expected an image file of at most {self._settings.max_image_bytes} bytes, got more")
        return LoadedImage(self._decode(data), hashlib.sha256(data).hexdigest())

    def _decode(self, data: bytes) -> np.ndarray:
        """Decode a file, once there is room for its pixels."""
        try:
            count = image_io.count_pixels(data, self._settings.max_image_pixels)
            with self._budget.decoding(count) as kept:
                kept.append(image_io.decode_image(data, self._settings.max_image_pixels))
                return kept[0]
        except image_io.ImageError as error:
            raise ImageError(str(error)) from None

    def _read(self, reference: str) -> bytes:
        if not isinstance(reference, str) or not reference:
            raise ImageError(f"Expected an image address in the task, got {described(reference)}")
        if reference[:5].lower() == "data:":
            return self._decode_data_uri(reference)
        if len(reference) > MAX_REFERENCE_CHARACTERS:
            raise ImageError(f"Expected an image address of at most {MAX_REFERENCE_CHARACTERS} characters")
        try:
            path = self._path_on_label_studio(reference)
            scheme = urlsplit(reference).scheme.lower()
        except ValueError:
            raise ImageError("Expected a valid image address in the task") from None
        if path is not None:
            return self._read_from_label_studio(path)
        if scheme in ("http", "https"):
            return self._fetcher.fetch(reference)
        if scheme in CLOUD_SCHEMES:
            raise ImageError(f"A {scheme} image can only be read for a saved Label Studio task; this one has no id")
        raise ImageError(
            "Expected an image address that starts with /data/, http(s)://, data:, s3://, gs:// or azure-blob://"
        )

    def _path_on_label_studio(self, reference: str) -> str | None:
        """Return the path and query of a reference to Label Studio itself, or None for one to elsewhere."""
        base = urlsplit(self._settings.label_studio_url)
        parts = urlsplit(reference)
        relative = reference.startswith("/") and not parts.netloc
        if not relative and (parts.scheme not in ("http", "https") or origin_of(reference) != origin_of(base.geturl())):
            return None
        path = parts.path.removeprefix(base.path)
        return path + (f"?{parts.query}" if parts.query else "")

    def _read_from_label_studio(self, path: str) -> bytes:
        if path.startswith(LOCAL_FILES_PATH):
            relative = parse_qs(urlsplit(path).query).get("d", [""])[0]
            data = self._read_local(relative)
            if data is not None:
                return data
        return self._fetcher.fetch(self._settings.label_studio_url + path)

    def _read_local(self, relative: str) -> bytes | None:
        """Return the bytes of a file under one of the local roots, or None if none of them holds it.

        Raises:
            ImageError: for a path that leaves its root, also through a symbolic link, or is no ordinary file.
        """
        if "\0" in relative or ".." in relative.replace("\\", "/").split("/"):
            raise ImageError("Expected a local file path without '..'")
        for root in self._settings.local_roots:
            try:
                path = (root / relative.lstrip("/")).resolve(strict=True)
            except (OSError, RuntimeError, ValueError):  # absent, a loop of links, or not encodable as a file name
                continue
            if not path.is_relative_to(root):
                raise ImageError("The local file lies outside the allowed folders")
            return self._read_regular_file(path)
        return None

    def _read_regular_file(self, path: Path) -> bytes:
        """Read a resolved path; no link is followed any more, and a pipe or device cannot make this wait."""
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(path, flags)
            with open(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise ImageError("Expected an ordinary local file")
                return file.read(self._settings.max_image_bytes + 1)
        except OSError as error:
            raise ImageError(f"The local file cannot be read: {error.strerror}") from None

    def _decode_data_uri(self, reference: str) -> bytes:
        header, comma, payload = reference.partition(",")
        if not comma:
            raise ImageError("Expected a data URI with a comma before its data")
        if len(payload) > 4 * self._settings.max_image_bytes:
            raise ImageError(f"Expected an image file of at most {self._settings.max_image_bytes} bytes, got more")
        try:
            data = unquote_to_bytes(payload)
            if header.lower().endswith(";base64"):
                data = base64.b64decode(b"".join(data.split()), validate=True)
        except (binascii.Error, UnicodeEncodeError) as error:
            raise ImageError(f"Expected base64 in the data URI: {error}") from None
        return data
