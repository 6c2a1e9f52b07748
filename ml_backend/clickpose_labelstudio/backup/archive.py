"""The file of a backup: a tar of plain files, and last of all a list with the size and SHA-256 of each.

It is read twice: everything is checked before anything is written. Nothing in it is ever executed or unpickled, and no
name in it leads out of the folder that it is unpacked to.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

CONTENTS = "contents.json"
FORMAT = "clickpose-backup-1"
CHUNK = 1 << 20
MAX_CONTENTS = 256 * 1024 * 1024  # bytes of the list; a million files have less
SAFE_PART = re.compile(r"[^\x00-\x1f\x7f/\\:]{1,255}")


class BackupError(ValueError):
    """A backup cannot be made, is not whole, or would replace something."""


class BackupWriter:
    """Writes a backup; made by :func:`new_backup`."""

    def __init__(self, tar: tarfile.TarFile):
        self._tar = tar
        self._files: dict[str, dict[str, Any]] = {}

    def add(self, name: str, path: Path) -> None:
        """Add a file under a name; one that grows meanwhile is taken as long as it was."""
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = size, 0o600, int(path.stat().st_mtime)
            hashing = _Hashing(file)
            self._tar.addfile(member, hashing)
        self._files[name] = {"bytes": size, "sha256": hashing.digest.hexdigest()}

    def add_tree(self, name: str, folder: Path, skipped: frozenset[str] = frozenset()) -> int:
        """Add the files of a folder, without links and without the named files and folders; return how many."""
        count = 0
        for root, folders, files in os.walk(folder):
            folders[:] = sorted(each for each in folders if each not in skipped)
            for file in sorted(files):
                path = Path(root) / file
                if file in skipped or path.is_symlink() or not path.is_file():
                    continue
                self.add(f"{name}/{path.relative_to(folder).as_posix()}", path)
                count += 1
        return count

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Add the list."""
        text = json.dumps({"format": FORMAT, **facts, "files": self._files}, indent=1).encode()
        member = tarfile.TarInfo(CONTENTS)
        member.size = len(text)
        self._tar.addfile(member, io.BytesIO(text))


class _Hashing:
    """Reads a file and adds up what was read."""

    def __init__(self, file: IO[bytes]):
        self._file, self.digest = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Read."""
        data = self._file.read(size)
        self.digest.update(data)
        return data


@contextmanager
def new_backup(path: Path) -> Iterator[BackupWriter]:
    """Write a backup; it is there as a whole or not at all, for its owner alone.

    Raises:
        BackupError: if there is a file already.
    """
    if path.exists():
        raise BackupError(f"Expected a new file, got {path}, which is there already")
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        with open(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                yield BackupWriter(tar)
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)  # unlike a rename it refuses to replace what has come meanwhile
    except FileExistsError:
        raise BackupError(f"Expected a new file, got {path}, which is there already") from None
    finally:
        partial.unlink(missing_ok=True)


def check_backup(path: Path) -> dict[str, Any]:
    """Read a whole backup, compare every file with the list, and return the list.

    Raises:
        BackupError: if it is no backup, not whole, or holds anything that the list does not.
    """
    found: dict[str, dict[str, Any]] = {}
    contents: Any = None
    try:
        with tarfile.open(path, mode="r:") as tar:
            for member in tar:
                if contents is not None:
                    raise BackupError(f"Expected the list at the end of {path}, got {member.name!r} behind it")
                stream = tar.extractfile(member) if _is_plain(member) else None
                if stream is None or member.name in found:
                    raise BackupError(f"Expected plain files with safe names, each once, in {path}: {member.name!r}")
                if member.name == CONTENTS:
                    contents = json.loads(stream.read(MAX_CONTENTS))
                    continue
                digest = hashlib.sha256()
                while chunk := stream.read(CHUNK):
                    digest.update(chunk)
                found[member.name] = {"bytes": member.size, "sha256": digest.hexdigest()}
    except (tarfile.TarError, EOFError, ValueError, OSError) as error:
        if isinstance(error, BackupError):
            raise
        raise BackupError(f"Expected a whole backup in {path}: {error}") from None
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise BackupError(f"Expected a whole backup of form {FORMAT} in {path}, got one without its list")
    if contents.get("files") != found:
        listed = contents.get("files")
        listed = listed if isinstance(listed, dict) else {}
        wrong = sorted(name for name in {*found, *listed} if found.get(name) != listed.get(name))
        raise BackupError(f"Expected {path} as it was written, but {len(wrong)} files differ, such as {wrong[:3]}")
    return contents


def unpack(path: Path, places: Mapping[str, Path]) -> None:
    """Write the files of a backup that :func:`check_backup` has found whole.

    Args:
        path: the backup.
        places: first part of the names -> folder that the rest is written to; files of other parts are left out.
    """
    with tarfile.open(path, mode="r:") as tar:
        for member in tar:
            head, _, rest = member.name.partition("/")
            if head not in places or not rest:
                continue
            stream = tar.extractfile(member) if _is_plain(member) else None
            if stream is None:
                raise BackupError(f"Expected plain files with safe names in {path}, got {member.name!r}")
            target = places[head] / rest
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, "xb") as file:
                while chunk := stream.read(CHUNK):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())


def _is_plain(member: tarfile.TarInfo) -> bool:
    """Tell whether a member is a file whose name stays in its folder."""
    parts = PurePosixPath(member.name).parts
    safe = "/".join(parts) == member.name and all(SAFE_PART.fullmatch(part) and part != ".." for part in parts)
    return bool(parts) and safe and member.isreg()
