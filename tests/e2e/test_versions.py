"""What the bridge does on a page that lacks something: the real Label Studio, with a part of it taken away."""

from __future__ import annotations

import pytest

from clickpose_labelstudio.launch.bridge_script import BridgeConfig, bridge_script
from helpers.editor import Editor

pytestmark = pytest.mark.browser

SCRIPT = "clickpose-bridge.js"  # what errors of the bridge name as their place
SABOTAGE = """(name, ...objects) => {
    for (const object of objects) Object.defineProperty(object, name, {value: undefined, configurable: true});
}"""
ANNOTATION = "Htx.annotationStore.selected"
KEYPOINT = f"{ANNOTATION}.regions.find(r => r.type == 'keypointregion')"
BOX = f"{ANNOTATION}.regions.find(r => r.type == 'rectangleregion')"
IMAGE = f"{ANNOTATION}.objects[0]"
# what is taken away (object, name of a property) -> the probes that must notice it, and no other
LOST = {
    ("APP_SETTINGS", None): {"address"},
    ("Htx.task", "id"): {"task"},
    (ANNOTATION, "isReadOnly"): {"editing"},
    (KEYPOINT, "dynamic"): {"asking"},
    ("Htx", "isSubmitting"): {"saving"},
    ("Htx", "submitAnnotation"): {"submitting"},
    ("Htx.events", "invoke"): {"submitting"},
    (ANNOTATION, "submissionInProgress"): {"submitting"},
    (KEYPOINT, "notifyDrawingFinished"): {"marks"},
    (BOX, "setProperty"): {"marks", "list"},
    (ANNOTATION, "trackedState"): {"marks"},
    (IMAGE, "getToolsManager"): {"hand"},
    (KEYPOINT, "editableFields"): {"list"},
    (ANNOTATION, "saveDraft"): {"drafts"},
    (ANNOTATION, "setDraftSaving"): {"drafts"},
    ("Htx.events", "invokeFirst"): {"drafts"},
    (ANNOTATION, "saveDraftImmediately"): {"leaving"},
    (f"{ANNOTATION}.history", "freeze"): {"history"},
    (f"{ANNOTATION}.history", "undoIdx"): {"history"},
    (f"{ANNOTATION}.history", "setReplaceNextUndoState"): {"history"},
    (KEYPOINT, "cleanId"): {"regions"},
    (ANNOTATION, "selectedRegions"): {"selection"},
    (KEYPOINT, "parentID"): {"persons"},
    (BOX, "rotation"): {"places"},
    (BOX, "width"): {"places"},
    (KEYPOINT, "canvasX"): {"stage"},
    (KEYPOINT, "x"): {"places", "stage"},
    (IMAGE, "canvasToInternalX"): {"stage"},
    (IMAGE, "internalToCanvasY"): {"stage", "moving"},
    (f"{IMAGE}.stageRef", "getAbsoluteTransform"): {"stage"},
    (KEYPOINT, "origin"): {"origin"},
    (KEYPOINT, "setPosition"): {"moving"},
    (BOX, "object"): {"moving", "extent"},
    (ANNOTATION, "relationStore"): {"items"},
    (KEYPOINT, "bboxCoords"): {"extent"},
    (IMAGE, "naturalWidth"): {"extent", "pixels"},
    (BOX, "isReadOnly"): {"locks"},
    (f"{BOX}.shapeRef", "hitFunc"): {"order"},
    (ANNOTATION, "serializeAnnotation"): {"items", "adding"},
    (ANNOTATION, "deserializeResults"): {"adding"},
    (ANNOTATION, "deleteArea"): {"adding", "deleting"},
    (KEYPOINT, "setParentID"): {"joining"},
    (KEYPOINT, "labeling"): {"scores", "relabelling"},
    (f"{KEYPOINT}.labeling", "setValue"): {"relabelling"},
    (BOX, "toggleHidden"): {"hiding"},
    (KEYPOINT, "deleteRegion"): {"deleting"},
    (f"{ANNOTATION}.history", "safeUnfreeze"): {"following", "marks"},
    (ANNOTATION, "redo"): {"following"},
    (ANNOTATION, "extendSelectionWith"): {"selecting"},
    (IMAGE, "setZoomPosition"): {"zooming"},
    (IMAGE, "sizeToFit"): {"fitting"},
    (ANNOTATION, "names"): {"hotkeys", "labels"},
    (f"{KEYPOINT}.labeling", "setMetaValue"): {"scores"},
    (KEYPOINT, "perRegionTags"): {"choices"},
    (KEYPOINT, "addResult"): {"choosing"},
    (BOX, "updateOriginOnEdit"): {"accepting"},
    (ANNOTATION, "traverseTree"): {"batches"},
    ("Htx.annotationStore", "viewingAll"): {"comparing"},
    (BOX, "$treenode"): {"states"},
    (f"{IMAGE}.stageRef", "on"): {"painting"},
    (f"{KEYPOINT}.shapeRef", "listening"): {"shapes"},
    (f"{KEYPOINT}.shapeRef", "isDragging"): {"previewing"},
    (f"{KEYPOINT}.shapeRef", "getLayer"): {"gathering", "shapes"},
}
# ask the probes about the page as it would be without one property; the objects behind it are Label Studio's own
ASK_WITHOUT = """([object, name]) => {
    const lost = name ? eval(object) : null, kept = [window.Htx, window.APP_SETTINGS], seen = new Map();
    const hide = (value) => {
        if (typeof value !== 'object' || value === null) return value;
        if (!seen.has(value)) seen.set(value, new Proxy(value, {
            get: (target, key) => {
                if (target === lost && key === name) return undefined;
                const found = Reflect.get(target, key);
                return typeof found === 'function' && !Array.isArray(target) ? found.bind(target) : hide(found);
            },
            has: (target, key) => !(target === lost && key === name) && key in target,
        }));
        return seen.get(value);
    };
    try {
        window.Htx = hide(Htx);
        if (!name) window[object] = undefined;
        const annotation = Htx.annotationStore.selected, image = annotation.objects[0];
        const answers = __clickposeBridge.probes({annotation, image, stage: image.stageRef});
        return Object.keys(answers).filter((probe) => answers[probe] !== true);
    } finally {
        [window.Htx, window.APP_SETTINGS] = kept;
    }
}"""


@pytest.fixture
def console(page):
    """What the bridge throws into the page (``errors``), and what it warns of (``warnings``)."""
    seen = {"errors": [], "warnings": []}
    page.on("pageerror", lambda error: seen["errors"].append(error.stack) if SCRIPT in (error.stack or "") else None)
    page.on(
        "console",
        lambda message: (
            seen["warnings"].append(message.text)
            if "Click-Pose" in message.text and message.type == "warning"
            else None
        ),
    )
    return seen


def open_without(editor: Editor, task_id: int, sabotage: str, tried: tuple[str, ...] | None = None) -> None:
    """Open a task on the stock page, take something of it away there, then bring the bridge."""
    editor.page.unroute_all()
    editor.without_bridge()
    editor.goto(task_id)
    editor.page.evaluate(f"() => {{ const lose = {SABOTAGE}; {sabotage} }}")
    config = BridgeConfig() if tried is None else BridgeConfig(tried_versions=tried)
    editor.page.add_script_tag(content=f"{bridge_script(config)}//# sourceURL={SCRIPT}")


def wait_for_bridge(editor: Editor) -> None:
    editor.wait("__clickposeBridge.status() == 'ready' && __clickposeBridge.diagnostics.bones > 0")
    editor.page.wait_for_timeout(500)


def chip(editor: Editor) -> tuple[str, str]:
    """What the chip says, and the sentences behind it."""
    button = editor.page.locator("#clickpose-chip > button")
    return button.text_content(), button.get_attribute("title")


def test_each_probe_notices_what_it_is_for_and_nothing_else(editor, task_id, console):
    editor.open(task_id)
    assert set(editor.page.evaluate("__clickposeBridge.probes()").values()) == {True}
    assert editor.page.evaluate("__clickposeBridge.missing()") == []
    found = {lost: set(editor.page.evaluate(ASK_WITHOUT, list(lost))) for lost in LOST}
    assert {lost: found[lost] for lost in LOST if found[lost] != LOST[lost]} == {}
    probes = editor.page.evaluate("Object.keys(__clickposeBridge.probes())")
    assert set(probes) - set().union(*LOST.values()) == {"page", "bars"}  # the next test is about a page that is lost
    assert console == {"errors": [], "warnings": []}


def test_a_page_that_is_not_recognized_is_left_alone(editor, task_id, console, artifacts):
    open_without(editor, task_id, "window.kept = Htx; delete window.Htx; window.Htx = undefined;")
    editor.wait("__clickposeBridge.status() == 'off'")
    editor.page.screenshot(path=artifacts / "bridge-off.png")
    assert "off" in chip(editor)[0] and "not recognized" in chip(editor)[1]
    assert len(console["warnings"]) == 1
    assert editor.page.locator(".clickpose-overlay").count() == 0
    editor.page.evaluate("window.__clickposeBridge.status = () => 'off'; window.Htx = kept")
    assert console["errors"] == []


def test_without_one_undo_step_nothing_is_changed_and_bones_are_drawn(editor, task_id, console, artifacts):
    """The history lost a function: neither refinement nor keys that change something; the stock page works."""
    open_without(editor, task_id, f"lose('setReplaceNextUndoState', {ANNOTATION}.history);")
    wait_for_bridge(editor)
    person = editor.persons()[0]
    wrist, nose = f"{person}-left_wrist", f"{person}-nose"
    before, origins = editor.places(), editor.origins()
    editor.point_at(nose)
    for key in ("Shift+V", "Shift+A"):
        editor.page.keyboard.press(key)
    assert editor.origins() == origins
    editor.page.keyboard.press("Shift+B")
    assert editor.page.evaluate("__clickposeBridge.bonesShown()") is False
    editor.page.keyboard.press("Shift+B")
    dropped = editor.drag(wrist, 30, 10)
    editor.page.wait_for_timeout(400)
    after = editor.places()
    assert after[wrist] == pytest.approx(dropped, abs=0.02)
    assert {region for region in before if after[region] != before[region]} == {wrist}
    assert editor.diagnostics()["requests"] == 0 and editor.diagnostics()["faults"] == []
    assert "partly off" in chip(editor)[0] and "not refined" in chip(editor)[1]
    assert len(console["warnings"]) == 1 and "(history)" in console["warnings"][0]
    assert console["errors"] == []
    editor.page.screenshot(path=artifacts / "bridge-in-part.png")


def test_what_is_lost_switches_off_only_what_needs_it(editor, task_id, console):
    """Keypoints lost the function that adds a choice: Shift+V is off; drags refine, Shift+A accepts."""
    open_without(editor, task_id, f"lose('addResult', ...{ANNOTATION}.regions);")
    wait_for_bridge(editor)
    person = editor.persons()[0]
    editor.point_at(f"{person}-left_knee")
    editor.page.keyboard.press("Shift+V")
    editor.drag(f"{person}-left_wrist", 30, 10)
    editor.wait_applied(1)
    editor.point_at(f"{person}-left_knee")
    editor.page.keyboard.press("Shift+A")
    editor.wait(f"{ANNOTATION}.regions.filter(r => r.origin != 'prediction').length == 18")
    assert editor.page.evaluate("__clickposeBridge.missing()") == ["choosing"]
    assert editor.diagnostics()["faults"] == [] and console["errors"] == []


def test_without_origins_nothing_is_refined(editor, task_id, console):
    """What was placed by hand is not known any more, and might be moved."""
    open_without(editor, task_id, f"lose('origin', ...{ANNOTATION}.regions);")
    wait_for_bridge(editor)
    before = editor.places()
    wrist = f"{editor.persons()[0]}-left_wrist"
    editor.drag(wrist, 30, 10)
    editor.page.wait_for_timeout(400)
    after = editor.places()
    assert {region for region in before if after[region] != before[region]} == {wrist}
    assert editor.diagnostics()["requests"] == 0 and editor.diagnostics()["faults"] == []
    assert editor.page.evaluate("__clickposeBridge.missing()") == ["origin"]


def test_a_version_that_nobody_tried_works_and_says_so_quietly(editor, task_id, console):
    open_without(editor, task_id, "", tried=("0.1",))
    wait_for_bridge(editor)
    editor.drag(f"{editor.persons()[0]}-left_wrist", 30, 10)
    editor.wait_applied(1)
    editor.wait("__clickposeBridge.status() == 'ready'")
    text, sentences = chip(editor)
    assert text.startswith("Click-Pose · ready") and "partly off" not in text
    assert "has not been tried" in sentences
    assert console == {"errors": [], "warnings": []}
