"""What all tests share: the folder of data that is not part of the repository, and marks by what a test asks for."""

import os
from pathlib import Path

import pytest

collect_ignore = ["helpers"]  # no tests, and some are for other environments


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder with data, weights and fixtures that is not part of the repository."""
    default = Path(__file__).resolve().parents[1] / ".." / "shared"
    folder = Path(os.environ.get("CLICKPOSE_SHARED", default))
    if not folder.is_dir():
        pytest.skip("the shared data folder is absent (set CLICKPOSE_SHARED to its path)")
    return folder


def pytest_collection_modifyitems(items):
    """Mark what asks for the shared data folder, so that ``make quick`` can leave it out, and what may be run again.

    A page on a busy machine loses a key press or a frame once in thousands of times. Such a test is run once more; the
    first failure is listed at the end as RERUN, and is a fault to look at.
    """
    for item in items:
        if "shared_folder" in getattr(item, "fixturenames", ()):
            item.add_marker("shared")
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=1))
