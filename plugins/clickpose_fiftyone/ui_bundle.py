"""The plugin's JavaScript in one file, as the app loads it: ``python -m clickpose_fiftyone.ui_bundle`` writes it.

The app puts one classic script on its page, which cannot import others. The modules in ``pose_review/ui`` are plain
JavaScript for the app's own React, and some come from Label Studio's bridge, so that both draw the same signs: all that
is to be done is to put them into one, as is done with the bridge itself. No tool, no packages, no versions of these.
The result is checked in beside its sources, since ``fiftyone plugins download`` copies the folder as it is; a test
tells where somebody forgot to write it anew.
"""

from __future__ import annotations

from pathlib import Path

from clickpose_fiftyone.install import plugin_folder
from clickpose_labelstudio.launch.es_modules import bundle

ENTRY = "main"
_HEADER = "// Made of pose_review/ui by `python -m clickpose_fiftyone.ui_bundle`; change those files.\n"


def bundle_path() -> Path:
    """Return where the bundle is, which fiftyone.yml names."""
    return plugin_folder() / "dist" / "pose_review.js"


def make_bundle() -> str:
    """Return the script, made of its sources in a checkout of the repository.

    Raises:
        ValueError: as :func:`clickpose_labelstudio.launch.es_modules.bundle`.
    """
    return _HEADER + bundle(plugin_folder() / "ui", ENTRY)


def main() -> None:
    """Write the bundle."""
    bundle_path().write_text(make_bundle(), encoding="utf-8")
    print(bundle_path())


if __name__ == "__main__":
    main()
