"""The shape of the code: which module may import which, and what an import may do."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10; pytest brings it
    import tomli as tomllib

REPOSITORY = Path(__file__).resolve().parents[1]
ROOTS = {
    "clickpose": REPOSITORY / "models" / "clickpose",
    "clickpose_labelstudio": REPOSITORY / "ml_backend" / "clickpose_labelstudio",
    "clickpose_fiftyone": REPOSITORY / "plugins" / "clickpose_fiftyone",
    "pose_review": REPOSITORY / "plugins" / "pose_review",
}
PACKAGES = list(ROOTS)  # a package may import itself and those before it

# Inside clickpose, lowest first. A module imports its own layer and those below; what is not named here stands at the
# empty one: it may import everything but the commands and the command line, and only its like and those import it.
LAYERS = (
    ("checks", "extras", "steps", "ahead", "kept_files", "text_file", "durations"),
    (
        "skeleton",
        "skeleton_io",
        "structures",
        "boxes",
        "frames",
        "weights_io",
        "onnx_session",
        "image_io",
        "named_image",
    ),
    ("metrics", "calibration", "data", "networks"),
    ("pose_errors", "feedback", "terms", "postprocess", "detector", "draw", "joint_origin"),
    ("predictor", "training", "token_calibration"),
    ("clicks",),
    ("lite", "r50"),
    (),
    ("commands",),
    ("cli",),
)
UNNAMED_LAYER = LAYERS.index(())
NEVER_NETWORKS = ("metrics", "calibration")
CODECS = ("codec", "labeling_config", "joint_words", "coco_exchange", "references")

# What the distribution brings for each package, by extra; and what stands in for another package that brings it.
EXTRAS_OF = {
    "clickpose": (
        "train",
        "plots",
        "sleap",
        "transformers",
        "rtmlib",
        "torchvision",
        "rfdetr",
        "mediapipe",
        "buckets",
        "ray",
    ),
    "clickpose_labelstudio": ("labelstudio",),
    "clickpose_fiftyone": ("labelstudio", "fiftyone"),
    "pose_review": ("labelstudio", "fiftyone"),
}
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}
BROUGHT_BY = {
    "werkzeug": "flask",
    "google": "onnx",
    "pymongo": "fiftyone",
    "bson": "fiftyone",
    "mongoengine": "fiftyone",
}
# the processes of others that some modules run in; Label Studio's has its packages at the top
HOSTS = ("django", "label_studio", "tasks", "data_manager", "label_studio_ml")

# Entry points of other environments: Label Studio's own process, label-studio-ml's, FiftyOne's, and tools of the train
# extra.
FOREIGN = ("clickpose_labelstudio.launch.inside", "clickpose_labelstudio.ml_adapter", "clickpose.detector_export",
           "clickpose.networks.movenet_onnx", "clickpose_fiftyone", "pose_review")  # fmt: skip
MOUNTING = "clickpose.cli.integrations"
MOUNTED = ("clickpose_labelstudio", "clickpose_fiftyone")  # their commands, where they are present


def modules() -> dict[str, Path]:
    """Dotted name -> file of every module of the packages."""
    found = {}
    for package, root in ROOTS.items():
        for path in sorted(root.rglob("*.py")):
            parts = [package, *path.relative_to(root).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(path: Path, module_level_only: bool = False) -> set[str]:
    """Dotted names that a file imports, with the names of ``from package import name`` added."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if module_level_only else ast.walk(tree)
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # FiftyOne imports its plugins under a name of its own
            assert node.level == 0 or ROOTS["pose_review"] in path.parents, f"{path}: relative import"
            if node.level:
                continue
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def layer_of(module: str) -> int:
    part = module.split(".")[1]
    return next((i for i, layer in enumerate(LAYERS) if part in layer), UNNAMED_LAYER)


def test_packages_import_one_way():
    wrong = [
        f"{module} imports {name}"
        for module, path in modules().items()
        for name in imports_of(path)
        if name.split(".")[0] in PACKAGES
        and PACKAGES.index(name.split(".")[0]) > PACKAGES.index(module.split(".")[0])
        and not (module == MOUNTING and name.split(".")[0] in MOUNTED)
    ]
    assert not wrong


def test_layers_of_clickpose_import_downwards():
    known = modules()
    wrong = [
        f"{module} (layer {layer_of(module)}) imports {name} (layer {layer_of(name)})"
        for module, path in known.items()
        if module.startswith("clickpose.")
        for name in imports_of(path)
        if name.startswith("clickpose.") and name in known and layer_of(name) > layer_of(module)
    ]
    assert not wrong


def test_only_the_command_line_imports_the_package_itself():
    importers = {m for m, path in modules().items() if m.startswith("clickpose.") and "clickpose" in imports_of(path)}
    assert {layer_of(module) for module in importers} == {layer_of("clickpose.cli")}
    above = {name for name in imports_of(ROOTS["clickpose"] / "__init__.py", True) if name.startswith("clickpose.")}
    assert {layer_of(name) for name in above} <= {0, 1}


def test_metrics_and_calibration_never_import_networks():
    wrong = [
        f"{module} imports {name}"
        for module, path in modules().items()
        if module.split(".")[1:2] and module.split(".")[1] in NEVER_NETWORKS
        for name in imports_of(path)
        if name.startswith("clickpose.networks")
    ]
    assert not wrong


@pytest.mark.parametrize("module", CODECS)
def test_codecs_name_neither_torch_nor_flask(module):
    top_level = {name.split(".")[0] for name in imports_of(ROOTS["clickpose_labelstudio"] / f"{module}.py")}
    assert not top_level & {"torch", "flask"}


def test_each_package_imports_what_the_distribution_declares_for_it():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras, used = project["optional-dependencies"], set()
    for package, own in EXTRAS_OF.items():
        declared = {name_of(text) for text in sum((extras[extra] for extra in own), project["dependencies"])}
        foreign = {
            name.split(".")[0] for m, p in modules().items() if m.split(".")[0] == package for name in imports_of(p)
        }
        foreign -= {*sys.stdlib_module_names, *PACKAGES, *HOSTS}
        wanted = {name_of(BROUGHT_BY.get(name) or DISTRIBUTIONS.get(name, name)) for name in foreign}
        assert wanted <= declared, f"{package} imports {wanted - declared}"
        used |= wanted
    for_users = (extras[extra] for extra in set(sum(EXTRAS_OF.values(), ())))
    everything = {name_of(text) for text in sum(for_users, project["dependencies"])} - {"clickpose"}
    assert everything <= used, f"nobody imports {everything - used}"


def name_of(requirement: str) -> str:
    """Name of a requirement such as ``prometheus_client>=0.20``, as package indexes spell it."""
    return re.match(r"[\w-]+", requirement)[0].lower().replace("_", "-")


# Names of COCO's form that only its writer gives to a record -> the modules that do.
WRITERS = {
    "supercategory": {"clickpose.data.coco_categories"},
    "num_keypoints": {"clickpose.data.coco_writing"},
}


@pytest.mark.parametrize("name", WRITERS)
def test_cocos_records_have_one_writer(name):
    """A new record is a dict with these keys: whoever writes one of its own decides anew what COCO's form means."""
    writers = {
        module
        for module, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for key in ([*node.keys] if isinstance(node, ast.Dict) else [])
        + ([node.slice] if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) else [])
        if isinstance(key, ast.Constant) and key.value == name
    }
    assert writers == WRITERS[name]


def test_the_parts_of_cocos_home_import_one_way():
    parts = {name: path for name, path in modules().items() if name.startswith("clickpose.data.")}
    wanted = {name: imports_of(path) & parts.keys() for name, path in parts.items()}
    done: set[str] = set()
    while ready := {name for name in parts if name not in done and wanted[name] <= done}:
        done |= ready
    assert done == parts.keys(), f"a circle among {sorted(parts.keys() - done)}"


def run_python(code: str):
    """Run code in a fresh interpreter, without settings of ours, and return the JSON it prints."""
    # a library that copies the whole environment would seem to read them
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("CLICKPOSE", "LABEL_STUDIO"))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "names", [["clickpose"], ["clickpose.cli"], [f"clickpose_labelstudio.{codec}" for codec in CODECS]], ids=str
)
def test_light_imports_load_neither_torch_nor_flask(names):
    loaded = run_python(f"import json, sys, {', '.join(names)}; print(json.dumps(sorted(sys.modules)))")
    assert not set(loaded) & {"torch", "flask", "onnxruntime"}


@pytest.mark.slow
def test_importing_everything_reads_no_weights_no_setting_and_no_device():
    names = [name for name in modules() if not name.startswith(FOREIGN)]
    assert len(names) > 30
    report = run_python(_IMPORT_EVERYTHING.replace("NAMES", repr(names)))
    assert report == {"weights": [], "settings": [], "device": False}


_IMPORT_EVERYTHING = """
import importlib, json, os, sys

weights, settings = [], []

def audit(event, arguments):
    if event == "open" and str(arguments[0]).endswith((".safetensors", ".onnx", "SHA256SUMS")):
        weights.append(str(arguments[0]))

class Watched(type(os.environ)):
    def __getitem__(self, key):
        if isinstance(key, str) and key.startswith(("CLICKPOSE", "LABEL_STUDIO")):
            settings.append(key)
        return super().__getitem__(key)

os.environ.__class__ = Watched
sys.addaudithook(audit)
for name in NAMES:
    importlib.import_module(name)
import torch
print(json.dumps({"weights": weights, "settings": settings, "device": torch.cuda.is_initialized()}))
"""


def test_no_tracked_file_names_a_folder_of_the_machine_it_was_written_on():
    if not (REPOSITORY / ".git").exists():
        pytest.skip("needs a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    machine_path = re.compile(rb"(?<![\w.])/(?:work|root)" + rb"/\w")
    wrong = [
        name
        for name in listing.decode().split("\0")
        if name and (path := REPOSITORY / name).is_file() and machine_path.search(path.read_bytes())
    ]
    assert not wrong
