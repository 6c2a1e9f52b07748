"""Links the plugin's folder where FiftyOne looks for plugins."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

PLUGIN = "pose_review"
LINK_NAME = "clickpose-pose-review"


def plugin_folder() -> Path:
    """Return the folder with the plugin's ``fiftyone.yml``.

    Raises:
        ValueError: if the package was installed without it.
    """
    spec = importlib.util.find_spec(PLUGIN)
    folder = Path(next(iter(spec.submodule_search_locations))) if spec is not None else None
    if folder is None or not (folder / "fiftyone.yml").is_file():
        raise ValueError("Expected the plugin's folder pose_review beside clickpose_fiftyone, found none; reinstall")
    return folder


def install_plugin(plugins_dir: str | Path | None = None, copy: bool = False) -> Path:
    """Link (or copy) the plugin into FiftyOne's plugin folder; an earlier link or copy of ours is replaced.

    Args:
        plugins_dir: FiftyOne's plugin folder; None for the configured one.
        copy: copy instead of linking, such as for a container; must be repeated after an update.

    Returns:
        the link or copy.

    Raises:
        ValueError: if something that is not ours has its name.
    """
    if plugins_dir is None:
        import fiftyone as fo

        plugins_dir = fo.config.plugins_dir
    source, target = plugin_folder(), Path(plugins_dir).expanduser() / LINK_NAME
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_plugin(plugins_dir)
    if copy:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        return target
    try:
        os.symlink(source, target, target_is_directory=True)
    except OSError:  # Windows without the right to make links
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def remove_plugin(plugins_dir: str | Path) -> bool:
    """Remove our link or copy; returns whether there was one.

    Raises:
        ValueError: if the folder of that name is not our plugin.
    """
    target = Path(plugins_dir).expanduser() / LINK_NAME
    if target.is_symlink():
        target.unlink()
        return True
    if not target.exists():
        return False
    manifest = target / "fiftyone.yml"
    if not manifest.is_file() or "@clickpose/pose_review" not in manifest.read_text(encoding="utf-8"):
        raise ValueError(f"Expected {target} to be the Click-Pose plugin, got something else; remove it yourself")
    shutil.rmtree(target)
    return True
