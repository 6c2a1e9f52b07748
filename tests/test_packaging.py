"""What is shipped: wheel and source distribution hold every file of the packages, and run where they are installed."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import clickpose

REPOSITORY = Path(__file__).resolve().parents[1]
ROOTS = {
    "clickpose": "models/clickpose",
    "clickpose_labelstudio": "ml_backend/clickpose_labelstudio",
    "clickpose_fiftyone": "plugins/clickpose_fiftyone",
    "pose_review": "plugins/pose_review",
}
BESIDE = {"LICENSE", "NOTICE", "README.md", "MANIFEST.in", "pyproject.toml"}  # of the source distribution
PHOTO = REPOSITORY / "ml_backend" / "clickpose_labelstudio" / "demo" / "group-1.jpg"


def test_the_plugin_says_the_version_of_the_package():
    text = (REPOSITORY / "plugins" / "pose_review" / "fiftyone.yml").read_text(encoding="utf-8")
    assert re.search(r'^version: "(.*)"$', text, re.M)[1] == clickpose.__version__


@pytest.fixture(scope="session")
def sources() -> list[str]:
    """Files of the repository, those included that are to be committed yet."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("needs a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout.decode()
    return [name for name in listing.split("\0") if (REPOSITORY / name).is_file()]


@pytest.fixture(scope="session")
def built(sources, tmp_path_factory) -> Path:
    """Folder with the wheel, built from the source distribution, and that one, built from nothing but those files."""
    pytest.importorskip("build", reason="needs the dev extra")
    checkout, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("dist")
    for name in sources:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / name, checkout / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, checkout]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def under(sources: list[str], root: str) -> set[str]:
    return {name.removeprefix(f"{root}/") for name in sources if name.startswith(f"{root}/")}


@pytest.mark.slow
def test_the_wheel_holds_the_files_of_the_packages_and_nothing_else(built, sources):
    wheel = only(built, "*.whl")
    assert wheel.name == f"clickpose-{clickpose.__version__}-py3-none-any.whl"
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {f"{package}/{name}" for package, root in ROOTS.items() for name in under(sources, root)}
    for needed in (
        "clickpose/weights/lite.safetensors",
        "clickpose/py.typed",
        "clickpose_labelstudio/demo/group-1.jpg",
    ):
        assert needed in names


@pytest.mark.slow
def test_the_source_distribution_holds_them_too_and_no_tests(built, sources):
    archive = only(built, "*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {member.name.partition("/")[2] for member in tar.getmembers() if member.isfile()}
    generated = {name for name in names if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}
    wanted = {f"{root}/{name}" for root in ROOTS.values() for name in under(sources, root)}
    assert names - generated == wanted | BESIDE


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_installed_into_an_empty_environment_it_finds_people_in_a_photo(built, kind, tmp_path):
    folder = tmp_path / "environment"
    venv.create(folder, symlinks=os.name != "nt")
    python = only(folder, "*/python" if os.name != "nt" else "*/python.exe")
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index"]
    lend_dependencies(folder)
    done = subprocess.run(
        [*command, "--no-build-isolation", only(built, kind)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr

    def run(*command) -> str:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CLICKPOSE"))
        }
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    where = run(python, "-c", "import clickpose, clickpose_labelstudio as c; print(clickpose.__file__, c.__file__)")
    assert where.count(str(folder)) == 2
    installed = only(folder, "*/clickpose*")
    assert run(installed, "--version") == f"clickpose {clickpose.__version__}\n"
    run(installed, "predict", PHOTO, "--json", "poses.json", "--out", "overlay.png")
    poses = json.loads((tmp_path / "poses.json").read_text(encoding="utf-8"))
    assert len(poses["annotations"]) >= 3 and (tmp_path / "overlay.png").stat().st_size > 50_000
    assert "__clickposeBridge" in run(installed, "labelstudio", "bridge")


def lend_dependencies(environment: Path) -> None:
    """Put this environment's packages behind those of another one: they need not be installed once more.

    A path file in a folder that is named by one is not read, so that an editable installation is not lent.
    """
    site = only(environment, "Lib/site-packages") if os.name == "nt" else only(environment, "lib/*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_paths()["purelib"], encoding="utf-8")
