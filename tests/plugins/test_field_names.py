"""Names have one home: no other module spells a field's suffix, a label's attribute or a key of the info."""

import ast
from pathlib import Path

import pytest

from clickpose_fiftyone import field_names

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
SPELLED = {
    "pred_oks", "keypoint_oks", "score_raw", "bounding_box", "min_pred_oks", "num_low_vis", "refinement_history",
    "annotated_visibility", "joint_errors", "joint_visibility", "oks_bin", "coco_id", "coco_extra", "coco_image",
    "clickpose_coco", "clickpose_min_pred_oks_of", "clickpose_label_errors", "clickpose_source", "accepted", "refined",
    "refinement_discarded", "sent_to_label_studio", "corrected_in_label_studio", "auto_accepted",
    "_boxes", "_joints", "_low_vis",
}  # fmt: skip
SPELLING_ALLOWED = {"clickpose_fiftyone/field_names.py"}


def modules() -> list[str]:
    return [str(path.relative_to(PLUGINS)) for path in sorted(PLUGINS.rglob("*.py"))]


def texts(tree: ast.Module) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


@pytest.mark.parametrize("module", [name for name in modules() if name not in SPELLING_ALLOWED])
def test_no_other_module_spells_a_name(module):
    spelled = texts(ast.parse((PLUGINS / module).read_text(encoding="utf-8"))) & SPELLED
    assert not spelled, f"{module} spells {sorted(spelled)}: take the names from clickpose_fiftyone.field_names"


def test_companion_fields_and_paths():
    assert field_names.boxes_field_of("gt") == "gt_boxes"
    assert field_names.joints_field_of("pred") == "pred_joints"
    assert field_names.overlay_field_of("pred") == "pred_low_vis"
    assert field_names.person_path("pred", field_names.PRED_OKS) == "pred.keypoints.pred_oks"


def test_modules_import_each_other_without_a_circle():
    """At module level and inside functions."""
    home = PLUGINS / "clickpose_fiftyone"
    imports = {path.stem: set() for path in home.glob("*.py")}
    for path in home.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("clickpose_fiftyone."):
                imports[path.stem].add(node.module.split(".")[1])
    done: set[str] = set()
    while ready := {name for name, wanted in imports.items() if name not in done and wanted <= done | {name}}:
        done |= ready
    assert set(imports) == done, f"A circle among {sorted(set(imports) - done)}"
