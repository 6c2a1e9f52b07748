"""The references by which tasks name images, and the file names that they stand for. No network, no files.

:func:`file_name_of` is the only place that knows what a reference's file name is, :func:`file_names` the only one that
keeps those of different photos apart, and :func:`reference_to` the way back.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from urllib.parse import parse_qs, quote, unquote, urlsplit

from clickpose.image_io import PHOTO_SUFFIXES

CLOUD_SCHEMES = ("s3", "gs", "azure-blob")
LOCAL_FILES_PATH = "/data/local-files/"
UPLOAD_PATH = "/data/upload/"
IMAGE_SUFFIXES = frozenset((*PHOTO_SUFFIXES, ".heic"))  # what ends otherwise is a script, whose query tells the photo
_LONGEST_PART = 200  # characters of a file or folder name; file systems end at 255 bytes


def through_label_studio(reference: str, task_id: object) -> str:
    """Turn a cloud storage reference into Label Studio's address for it; other references stay as they are.

    Label Studio holds the credentials of the storage, finds the storage by the task's project, and sends the file or a
    redirect to a signed address.

    Args:
        reference: for example ``s3://bucket/photo.jpg``.
        task_id: id of the task; anything but an int for a task that Label Studio has not saved.
    """
    in_cloud = reference.lower().startswith(tuple(f"{scheme}://" for scheme in CLOUD_SCHEMES))
    if not in_cloud or type(task_id) is not int or task_id < 0:
        return reference
    fileuri = base64.urlsafe_b64encode(reference.encode("utf-8", "replace")).decode()
    return f"/tasks/{task_id}/resolve/?fileuri={fileuri}"


def reference_to(prefix: str, file_name: str) -> str:
    """Return the reference of a photo by what stands before its file name; a name that is an address stays as it is.

    Folders are parted by ``/`` whatever the file name has. Addresses on the web get their special characters escaped,
    those of cloud storages must not.

    Args:
        prefix: ``/data/local-files/?d=photos/``, ``s3://bucket/``, ``https://…``.
        file_name: of a COCO file.
    """
    if is_address(file_name):
        return file_name
    name = file_name.replace("\\", "/")
    on_web = prefix.startswith(("/", "http://", "https://"))
    return prefix + (quote(name) if on_web else name)


def is_address(file_name: str) -> bool:
    """Tell whether the file name of a photo is an address, which needs nothing before it."""
    return _scheme(file_name) in ("http", "https", "data", *CLOUD_SCHEMES)


def file_name_of(reference: str) -> str | None:
    """Return the file name that a reference stands for, its folders parted by ``/``; None for a photo without a name.

    ============================================  =========================
    ``/data/local-files/?d=set%20one/a.jpg``      ``set one/a.jpg``
    ``/data/upload/3/22ef5c30-a.jpg``             ``22ef5c30-a.jpg``
    ``https://example.org/cam/a.jpg?size=1``      ``cam/a.jpg``
    ``https://example.org/view.php?id=17``        ``view-id-17.php``
    ``s3://bucket/cam/a.jpg``                     ``cam/a.jpg``
    ``data:image/png;base64,…``                   None
    ============================================  =========================
    """
    return next(iter(_names(reference)), None)


def uploaded_name(reference: str) -> str | None:
    """Return the name that an uploaded photo had before Label Studio put its stamp before it; None for other photos.

    Example:
        >>> uploaded_name("/data/upload/3/22ef5c30-a.jpg")
        'a.jpg'
    """
    name = file_name_of(reference) if UPLOAD_PATH in reference else None
    return re.sub(r"^[0-9a-f]{8}-", "", name) if name else None


def photo_name_of(data: Mapping, reference: str) -> str:
    """Return the name by which other files know a task's photo; empty for one without.

    Args:
        data: of the task; ``file_name`` is that of the file it was imported from.
        reference: of its image.
    """
    told = data.get("file_name")
    if isinstance(told, str) and told:
        return told
    return uploaded_name(reference) or file_name_of(reference) or ""


def file_names(references: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str | None]:
    """Return reference -> file name, different for different references; None for photos without a name.

    The names are those of :func:`file_name_of`; references that would share one get longer ones: with the address's
    query, with its host, bucket or folder, and in the end with a number that is made of the address.

    Args:
        references: of the tasks' images.
        taken: names that other photos have.
    """
    names = {reference: _names(reference) for reference in references}
    length = dict.fromkeys(names, 0)
    taken = list(set(taken))
    while True:
        chosen = {reference: name[length[reference]] for reference, name in names.items() if name}
        counts = Counter([*chosen.values(), *taken])
        short = [reference for reference, name in chosen.items() if counts[name] > 1]
        short = [reference for reference in short if length[reference] + 1 < len(names[reference])]
        if not short:
            return {**dict.fromkeys(names), **chosen}
        for reference in short:
            length[reference] += 1


def _names(reference: str) -> list[str]:
    """Return the file names of a reference, the usual one first, the later ones the longer."""
    scheme = _scheme(reference)
    if scheme == "data":
        return []
    if scheme in CLOUD_SCHEMES:  # the key of an object is not escaped
        where, _, path = reference.split("://", 1)[-1].partition("/")
        query = ""
    elif scheme in ("http", "https") or reference.startswith("/"):
        where, path, query = _of_address(reference)
    else:
        where, path, query = "", reference, ""
    plain = _clean(path) or "photo"
    is_script = PurePosixPath(plain).suffix.lower() not in IMAGE_SUFFIXES
    full = _with_end(plain, query)
    stamp = hashlib.sha256(reference.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    names = [full if is_script else plain, full]
    names += [f"{folder}/{name}" for name in (plain, full) if (folder := _clean(where))]
    return list(dict.fromkeys([*names, _with_end(plain, stamp)]))


def _of_address(reference: str) -> tuple[str, str, str]:
    """Return (host or folder, path, query) of an address on the web or on Label Studio, unescaped."""
    try:
        parts = urlsplit(reference)
    except ValueError:  # such as a host in brackets that is no IPv6 address
        return "", unquote(reference), ""
    local = parse_qs(parts.query).get("d")
    if parts.path.endswith(LOCAL_FILES_PATH) and local:
        return parts.netloc, local[0], ""
    uploaded = parts.path.partition(UPLOAD_PATH)[2]
    if uploaded:
        folder, _, name = uploaded.rpartition("/")
        return folder, unquote(name), ""
    return parts.netloc, unquote(parts.path), unquote(parts.query)


def _scheme(reference: str) -> str:
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", reference)  # two letters at least: C: is a drive
    return match[1].lower() if match else ""


def _clean(path: str) -> str:
    """Return a path whose parts are file names: below one folder, parted by ``/``, of bounded length."""
    path = re.sub(r"^[A-Za-z]:", "", path.replace("\\", "/"))
    parts = [re.sub(r"[\x00-\x1f\x7f]", "_", part) for part in path.split("/") if part not in ("", ".", "..")]
    return "/".join(_bounded(part) for part in parts)


def _with_end(path: str, end: str) -> str:
    """Put words of a query, or a stamp, before the suffix of a file name."""
    words = re.sub(r"[^\w.-]+", "-", end).strip("-.")
    folder, slash, name = path.rpartition("/")
    pure = PurePosixPath(name)
    return f"{folder}{slash}{_bounded(f'{pure.stem}-{words}{pure.suffix}')}" if words else path


def _bounded(name: str) -> str:
    """Shorten a name that no file could have; its end, with the suffix, stays, and a stamp tells it from others."""
    if len(name.encode("utf-8", "replace")) <= _LONGEST_PART:
        return name
    stamp = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    suffix = PurePosixPath(name).suffix[:12]
    kept = name.encode("utf-8", "replace")[:150].decode("utf-8", "ignore")
    return f"{kept}-{stamp}{suffix}"
