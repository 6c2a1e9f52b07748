"""The photos of a start: the demo, or a folder of the user's own, which is linked and never copied."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clickpose.image_io import PHOTO_SUFFIXES, count_endings
from clickpose_labelstudio.launch.errors import LaunchError

DEMO_FOLDER = Path(__file__).parents[1] / "demo"
NOT_IN_BROWSERS = (".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm")
SUFFIXES = tuple(suffix for suffix in PHOTO_SUFFIXES if suffix not in NOT_IN_BROWSERS)
FILE_NAME_PATTERN = r"(?i)^[^.].*\.(" + "|".join(suffix[1:] for suffix in SUFFIXES) + r")$"


@dataclass(frozen=True)
class PhotoFolder:
    """A folder of photos.

    Attributes:
        source: the folder itself, resolved.
        title: title of its project.
    """

    source: Path
    title: str

    def count(self) -> int:
        """Return the number of photos in the folder and all folders in it."""
        return sum(1 for name in self._files() if re.match(FILE_NAME_PATTERN, name))

    def left_out(self) -> str:
        """Say how many files have other endings, in small letters, such as ``2 .heic, 1 .txt``; empty for none."""
        names = (name for name in self._files() if not name.startswith(".") and not re.match(FILE_NAME_PATTERN, name))
        return count_endings(names, "without ending")

    def _files(self) -> Iterator[str]:
        for _, _, names in os.walk(self.source):
            yield from names

    def link_below(self, root: Path) -> Path:
        """Return a link below ``root`` (Label Studio's document root) that leads to the folder; make it if missing.

        Label Studio serves local files from one document root only. With links below a root of our own, photos may lie
        anywhere, nothing else is served, and a project keeps its photos when the next one has another folder.
        """
        slug = re.sub(r"[^A-Za-z0-9]+", "-", self.source.name).strip("-").lower() or "photos"
        link = root / f"{slug}-{hashlib.sha256(str(self.source).encode()).hexdigest()[:8]}"
        if not link.is_symlink():
            link.symlink_to(self.source, target_is_directory=True)
        return link


def choose_photos(images: Path | None) -> PhotoFolder:
    """Return the photos to label: those of the user's folder, or the demo.

    Raises:
        LaunchError: if the folder is missing, cannot be read or holds no photo.
    """
    if images is None:
        return PhotoFolder(DEMO_FOLDER.resolve(), "Click-Pose demo")
    source = Path(images).expanduser().resolve()
    if not source.exists():
        raise LaunchError(f"There is no folder {source}. IMAGES must name a folder with photos.")
    if not source.is_dir():
        raise LaunchError(f"{source} is not a folder. IMAGES must name a folder with photos.")
    if not os.access(source, os.R_OK | os.X_OK):
        raise LaunchError(f"The folder {source} cannot be read by this user.")
    photos = PhotoFolder(source, f"Click-Pose {source.name}"[:50])
    if not photos.count():
        raise LaunchError(f"There is no photo in {source} or the folders in it ({', '.join(SUFFIXES)}).")
    return photos
