"""What an operator can choose about the service, as one frozen object passed explicitly."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clickpose.build import chosen_options
from clickpose.data.confidences import OCCLUDED_BELOW
from clickpose.kept_files import cache_folder
from clickpose_labelstudio.codec import UNLABELLED_BELOW

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Settings of one annotation service. Secrets never appear in its ``repr``.

    Attributes:
        cache_dir: folder of the disk cache, shared by all worker processes.
        label_studio_url: address of Label Studio as this machine reaches it; the only origin that gets the API key.
        label_studio_api_key: legacy token or personal access token; empty when images need none.
        allowed_hosts: further hosts that images may come from: ``"host"``, ``"host:port"``, an IP address, or
            ``"*.example.org"`` for the subdomains of a name.
        local_roots: folders that ``/data/local-files/?d=…`` may be read from directly, without Label Studio.
        cache_max_bytes: bound of the disk cache.
        shared_cache_dir: folder that several machines see, for what they have encoded; None for none. See
            :mod:`.shared_regions`.
        shared_cache_max_bytes: its bound.
        memory_cache_max_bytes: bound of the decoded regions that each worker process keeps in memory.
        reference_ttl_s: seconds for which an image address is trusted to hold the same content.
        max_image_bytes: larger image files are refused while they arrive.
        max_image_pixels: larger images are refused before they are decoded.
        max_request_bytes: larger request bodies are refused.
        connect_timeout_s: seconds to wait for a connection to an image host.
        read_timeout_s: seconds to wait for the next bytes of an image.
        fetch_timeout_s: seconds that one image may take in all.
        ca_bundle: certificates to trust instead of the usual ones, for a Label Studio behind a private authority.
        occluded_below: joints with a predicted visibility (0..1) below this are marked as occluded.
        unlabelled_below: joints with a predicted visibility (0..1) below this are not pre-annotated; 0 for all.
        basic_auth_user: user name asked of every caller but the webhook; empty for none.
        basic_auth_password: its password.
        webhook_secret: last part of the webhook's address, ``/webhook/<secret>``; empty to accept ``/webhook``.
        model: name of the predictor, as in :func:`clickpose.load`.
        checkpoint: weights file for models that ship without one.
        flip_test: whether lite sees each person mirrored as well: better poses, for twice the encoding and
            a few milliseconds more an edit.
        first: another network whose poses lite starts from, such as ``movenet:thunder.onnx``; empty for lite's own. See
            :mod:`clickpose.first_pose.loading`.
        browser_decoding: whether browsers may answer edits by themselves; see :mod:`.browser_decoding`.
        train_dir: folder of the journal, the training jobs and the versions that come out of them; None to keep and
            train nothing. See :mod:`.learning`.
        versions_dir: folder whose versions are served where it is not ``train_dir``: that of the machine that trains,
            as this one sees it; it is only read.
        train_after: new persons of a project that a training begins after by itself; 0 for "Start training" alone.
        train_here: whether jobs begin in the service; False where ``clickpose labelstudio trainer`` runs them.
        train_arguments: further arguments of their ``clickpose labelstudio learn``, such as ``--decoder-steps 2000``.
        replay_dir: labelled photos of the kind that the network knows, a COCO-form folder: a version that is worse
            there does not go live. None to look at the few photos that come with the package.
    """

    cache_dir: Path
    label_studio_url: str = "http://localhost:8080"
    label_studio_api_key: str = field(default="", repr=False)
    allowed_hosts: tuple[str, ...] = ()
    local_roots: tuple[Path, ...] = ()
    cache_max_bytes: int = 2048 * MIB
    shared_cache_dir: Path | None = None
    shared_cache_max_bytes: int = 8192 * MIB
    memory_cache_max_bytes: int = 256 * MIB
    reference_ttl_s: float = 3600.0
    max_image_bytes: int = 64 * MIB
    max_image_pixels: int = 80_000_000
    max_request_bytes: int = 64 * MIB
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 20.0
    fetch_timeout_s: float = 60.0
    ca_bundle: Path | None = None
    occluded_below: float = OCCLUDED_BELOW
    unlabelled_below: float = UNLABELLED_BELOW
    basic_auth_user: str = ""
    basic_auth_password: str = field(default="", repr=False)
    webhook_secret: str = field(default="", repr=False)
    model: str = "lite"
    checkpoint: Path | None = None
    flip_test: bool = True
    first: str = ""
    browser_decoding: bool = True
    train_dir: Path | None = None
    versions_dir: Path | None = None
    train_after: int = 0
    train_here: bool = True
    train_arguments: str = ""
    replay_dir: Path | None = None

    def __post_init__(self) -> None:
        url = urlsplit(self.label_studio_url)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.password:
            raise ValueError(
                "Expected label_studio_url such as http://localhost:8080, without a user or password in it"
            )
        if bool(self.basic_auth_user) != bool(self.basic_auth_password):
            raise ValueError("Expected both basic_auth_user and basic_auth_password, or neither; got only one of them")
        chosen_options(self.model, self.flip_test, self.first)
        for name in POSITIVE_NUMBERS:
            if not getattr(self, name) > 0:
                raise ValueError(f"Expected a positive {name}, got {getattr(self, name)}")
        for name in PROBABILITIES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"Expected {name} between 0 and 1, got {getattr(self, name)}")
        if self.train_after < 0:
            raise ValueError(f"Expected train_after of 0 or more new persons, got {self.train_after}")
        roots = tuple(Path(root).resolve() for root in self.local_roots)
        for root in roots:
            if not root.is_dir():
                raise ValueError(f"Expected local_roots to be folders, got {root}")
        object.__setattr__(self, "cache_dir", Path(self.cache_dir))
        object.__setattr__(self, "label_studio_url", self.label_studio_url.rstrip("/"))
        object.__setattr__(self, "allowed_hosts", tuple(host.strip().lower() for host in self.allowed_hosts))
        object.__setattr__(self, "local_roots", roots)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> ServiceSettings:
        """Read the settings from environment variables; only entry points call this.

        ``LABEL_STUDIO_URL`` and ``LABEL_STUDIO_API_KEY`` keep the names that Label Studio's own tools use; every other
        setting is ``CLICKPOSE_`` and its name in capitals (``CLICKPOSE_ALLOWED_HOSTS``: comma separated;
        ``CLICKPOSE_LOCAL_ROOTS``: separated like ``PATH``). Unset or empty variables leave the default.

        Raises:
            ValueError: for a number or an answer that is none, or a setting out of range; the message names the
                variable.
        """
        values: dict = {"cache_dir": cache_folder(environ)}
        for name, convert in CONVERTERS.items():
            variable = _variable(name)
            text = environ.get(variable, "").strip()
            if not text:
                continue
            try:
                values[name] = convert(text)
            except ValueError:
                wanted = "yes or no" if convert is _yes_or_no else "a number"
                raise ValueError(f"Expected {variable} to be {wanted}, got {text!r}") from None
        return cls(**values)

    def to_environment(self) -> dict[str, str]:
        """Return the variables that :meth:`from_environment` reads these settings from, secrets included."""
        values = {name: getattr(self, name) for name in CONVERTERS}
        separators = {"allowed_hosts": ",", "local_roots": os.pathsep}
        texts = {
            name: separators[name].join(map(str, value)) if name in separators else str(value)
            for name, value in values.items()
            if value is not None
        }
        return {_variable(name): text for name, text in texts.items()}


def _variable(name: str) -> str:
    return LABEL_STUDIO_VARIABLES.get(name, f"CLICKPOSE_{name.upper()}")


def _comma_separated(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _path_list(text: str) -> tuple[Path, ...]:
    return tuple(Path(part) for part in text.split(os.pathsep) if part)


def _yes_or_no(text: str) -> bool:
    lowered = text.lower()
    if lowered not in _YES + _NO:
        raise ValueError(f"Expected one of {', '.join(_YES + _NO)}, got {text!r}")
    return lowered in _YES


_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
LABEL_STUDIO_VARIABLES = {"label_studio_url": "LABEL_STUDIO_URL", "label_studio_api_key": "LABEL_STUDIO_API_KEY"}
CONVERTERS: Mapping[str, Callable[[str], Any]] = {
    "cache_dir": Path,
    "label_studio_url": str,
    "label_studio_api_key": str,
    "allowed_hosts": _comma_separated,
    "local_roots": _path_list,
    "cache_max_bytes": int,
    "shared_cache_dir": Path,
    "shared_cache_max_bytes": int,
    "memory_cache_max_bytes": int,
    "reference_ttl_s": float,
    "max_image_bytes": int,
    "max_image_pixels": int,
    "max_request_bytes": int,
    "connect_timeout_s": float,
    "read_timeout_s": float,
    "fetch_timeout_s": float,
    "ca_bundle": Path,
    "occluded_below": float,
    "unlabelled_below": float,
    "basic_auth_user": str,
    "basic_auth_password": str,
    "webhook_secret": str,
    "model": str,
    "checkpoint": Path,
    "flip_test": _yes_or_no,
    "first": str,
    "browser_decoding": _yes_or_no,
    "train_dir": Path,
    "versions_dir": Path,
    "train_after": int,
    "train_here": _yes_or_no,
    "train_arguments": str,
    "replay_dir": Path,
}
PROBABILITIES = ("occluded_below", "unlabelled_below")
POSITIVE_NUMBERS = tuple(
    name
    for name, convert in CONVERTERS.items()
    if convert in (int, float) and name not in (*PROBABILITIES, "train_after")
)
