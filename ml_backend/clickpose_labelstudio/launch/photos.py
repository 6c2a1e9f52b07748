"""The photos of a start: the demo, or a folder of the user's own, which is linked and never copied."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from clickpose.image_io import PHOTO_SUFFIXES, count_endings
from clickpose_labelstudio.launch.errors import LaunchError
from clickpose_labelstudio.launch.photo_check import ONLY_ELSEWHERE, why_not_shown

DEMO_FOLDER = Path(__file__).parents[1] / "demo"
SUFFIXES = tuple(suffix for suffix in PHOTO_SUFFIXES if suffix not in ONLY_ELSEWHERE)
NAMED = 3  # files that a sentence names


@dataclass(frozen=True)
class CheckedPhotos:
    """What there is in a folder of photos, by paths below it.

    Attributes:
        shown: what a browser shows, in the order of their names.
        left_out: reason -> photos that it does not show.
        others: files that are no photos by their endings.
    """

    shown: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """Say what has been left out and why, a line a reason."""
        lines = [f"Left out, since {reason}: {some_of(names)}." for reason, names in sorted(self.left_out.items())]
        if endings := count_endings(self.others, "without ending"):
            lines.append(f"Left out for their endings: {endings}.")
        return lines


def some_of(names: list[str], shown: int = NAMED) -> str:
    """Name some, and count the others."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


@dataclass(frozen=True)
class PhotoFolder:
    """A folder of photos.

    Attributes:
        source: the folder itself, resolved.
        title: title of its project.
    """

    source: Path
    title: str

    def has_photos(self) -> bool:
        """Tell whether there is a photo by its ending, which browsers show, in the folder or one in it."""
        return any(path.lower().endswith(SUFFIXES) for path in self._files())

    def check(self) -> CheckedPhotos:
        """Look at every file; thousands take seconds."""
        found = CheckedPhotos()
        for path in sorted(self._files()):
            if not path.lower().endswith((*SUFFIXES, *ONLY_ELSEWHERE)):
                found.others.append(path)
            elif (reason := why_not_shown(self.source / path)) is not None:
                found.left_out.setdefault(reason, []).append(path)
            else:
                found.shown.append(path)
        return found

    def gone(self, paths: Iterable[str]) -> list[str]:
        """Return those of some paths below the folder where there is no file."""
        return [path for path in paths if not (self.source / path).is_file()]

    def _files(self) -> Iterator[str]:
        """Yield the paths below the folder, as text, of what is not hidden."""
        for where, folders, names in os.walk(self.source):
            folders[:] = [name for name in folders if not name.startswith(".")]
            below = os.path.relpath(where, self.source)
            for name in names:
                if not name.startswith("."):
                    yield name if below == "." else f"{below}/{name}".replace(os.sep, "/")

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
    if not photos.has_photos():
        reasons = "\n".join(["", *photos.check().sentences()])
        raise LaunchError(
            f"There is no photo that browsers show in {source} or the folders in it ({', '.join(SUFFIXES)}).{reasons}"
        )
    return photos
