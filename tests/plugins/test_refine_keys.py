"""The canvas' own rules, run by node: keys as in Label Studio's bridge, corrections, steps, answers that come late."""

import json
import re
import shutil
import subprocess

import pytest

from clickpose_fiftyone.install import plugin_folder

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")

UI = plugin_folder() / "ui"
BRIDGE = plugin_folder().parents[1] / "ml_backend" / "clickpose_labelstudio" / "static" / "bridge"


def run(tmp_path, body, *modules):
    """Run JavaScript that imports modules of the canvas by their names, and the bridge's keys as ``bridge_bindings``;
    returns what it prints, read."""
    copied = {UI: tmp_path / "plugins" / "pose_review" / "ui",
              BRIDGE: tmp_path / "ml_backend" / "clickpose_labelstudio" / "static" / "bridge"}  # fmt: skip
    for source, target in copied.items():
        shutil.copytree(source, target, dirs_exist_ok=True)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (copied[UI] / "pose_reviewer.js").write_text('export const reviewer = () => "";')  # of the page
    paths = {name: copied[UI] / "refine" / f"{name}.js" for name in modules}
    paths["bridge_bindings"] = copied[BRIDGE] / "keys" / "bindings.js"
    lines = [f'import * as {name} from "{path.as_uri()}";' for name, path in paths.items()]
    script = tmp_path / "run.js"
    script.write_text("\n".join([*lines, body]), encoding="utf-8")
    done = subprocess.run(["node", script], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def test_keys_with_shift_are_those_of_the_bridge(tmp_path):
    body = "console.log(JSON.stringify([bindings.bindings, bridge_bindings.bindings]));"
    own, bridge = run(tmp_path, body, "bindings")
    known = {binding["action"]: binding["keys"] for binding in bridge if binding["action"]}
    shared = {binding["action"]: binding["keys"] for binding in own if binding["action"] in known}
    assert shared == {action: known[action] for action in shared} and len(shared) >= 14
    pressed = [tuple(binding["keys"]) for binding in own]
    assert len(set(pressed)) == len(pressed)
    source = (UI / "refine" / "actions.js").read_text()
    actions = set(re.findall(r"^export (?:const|(?:async )?function) (\w+)", source, re.M))
    assert {binding["action"] for binding in own} - {None} <= actions


def test_a_key_is_told_apart_by_what_is_held_and_printed_on_it(tmp_path):
    body = """
    const held = {ctrlKey: false, metaKey: false, altKey: false, shiftKey: false};
    const of = (key, more = {}) => bindings.actionOf({key, code: "", ...held, ...more});
    console.log(JSON.stringify([
      of("z"), of("z", {ctrlKey: true}), of("Z", {ctrlKey: true, shiftKey: true}), of("X", {shiftKey: true}), of("x"),
      of("Delete"), of("Backspace", {shiftKey: true}), of("+", {shiftKey: true}), of("?", {shiftKey: true}),
      of("Ν", {shiftKey: true, code: "KeyN"}), of("N", {shiftKey: true, altKey: true}), of("s", {ctrlKey: true}),
    ]));"""
    assert run(tmp_path, body, "bindings") == [
        "undo", "undo", "redo", "exchangePerson", None, "deleteJoint", "deletePerson", "addPerson", "toggleHelp",
        "nextDoubtful", "previousDoubtful", None,
    ]  # fmt: skip


PERSON = """
const person = {id: "a", v: "0", box: [0, 0, 10, 10], score: .5,
  joints: [[1, 1, .9, .9, false], [2, 2, .8, .2, false], [8, 8, .7, .9, false], null]};
const pairs = [[1, 2]];
"""


def test_corrections_of_a_person(tmp_path):
    body = (
        PERSON
        + """
    const placed = people.place(person, 0, [12, 3]);
    const hidden = people.toggleHidden(person, 1), seen = people.toggleHidden(hidden, 1);
    const other = people.exchange(person, [2], pairs), new_ = people.place(person, 3, [5, 5]);
    const versions = new Set([person, placed, hidden, seen, other].map(({v}) => v));
    console.log(JSON.stringify([placed.joints[0], placed.box, new_.joints[3], person.joints[0], hidden.joints[1],
      seen.joints[1], other.joints.slice(1, 3), people.exchange(person, [0], pairs),
      people.removeJoint(person, 0).joints[0], versions.size]));"""
    )
    placed, box, new, before, first, second, exchanged, nothing, gone, versions = run(tmp_path, body, "people")
    assert placed == [12, 3, 1, 0.9, True] and box == [0, 0, 12, 10] and new == [5, 5, 1, 1, True]
    assert before == [1, 1, 0.9, 0.9, False]  # persons are made anew
    assert first == [2, 2, 0.8, 1, True] and second == [2, 2, 0.8, 0.25, True]
    assert exchanged == [[8, 8, 0.7, 0.9, True], [2, 2, 0.8, 0.2, True]] and nothing is None and gone is None
    assert versions == 5


def test_an_answer_that_comes_late_moves_nothing_that_was_placed_meanwhile_and_undoing_knows_it(tmp_path):
    body = (
        PERSON
        + """
    const one = people.place(person, 0, [3, 3]), two = people.removeJoint(people.place(one, 1, [9, 9]), 2);
    const answer = {joints: [[3, 3, 1, 1, true], [4, 4, .6, .6, false], [7, 7, .6, .6, false], [6, 6, .5, .5, false]],
      box: [0, 0, 10, 10], score: .8};
    const past = [{key: "k1", id: "a", before: person, after: one}, {key: "k2", id: "a", before: one, after: two}];
    const merge = (other) => people.follow(other, answer);
    const now = steps.amended({past, future: [], people: [two]}, "k1", merge);
    const back = steps.undone(now.people, now.past[1]), first = steps.undone(back, now.past[0]);
    const undone = steps.amended({past: [past[0]], future: [past[1]], people: [one]}, "k1", merge);
    const again = steps.redone(undone.people, undone.future[0]);
    console.log(JSON.stringify([now.people[0].joints, back[0].joints, first[0].v, now.past[0].isAnswered,
      again[0].joints, now.people[0].score]));"""
    )
    now, back, first, is_answered, again, score = run(tmp_path, body, "people", "steps")
    assert now == [[3, 3, 1, 0.9, True], [9, 9, 1, 0.5, True], None, None]  # placed, placed since, taken away since
    assert back == [[3, 3, 1, 0.9, True], [4, 4, 0.6, 0.6, False], [7, 7, 0.6, 0.6, False], None]
    assert first == "0" and is_answered is True and again == now and score == 0.8


def test_joints_that_were_placed_in_the_app_itself_are_noticed(tmp_path):
    body = (
        PERSON
        + """
    const stored = (mark, joints) => new Map([["a", {...person, mark, joints}]]);
    const one = person.joints.with(0, [5, 5, .9, .9, false]);
    const two = person.joints.map((joint) => joint && [9, 9, 1, 1, false]);
    const before = stored("m", person.joints);
    const same = stored("n", person.joints);
    const found = [stored("m", one), stored("n", one), stored("n", two), same, new Map()];
    console.log(JSON.stringify(found.map((now) => session.placedElsewhere(before, now))));"""
    )
    assert run(tmp_path, body, "session") == [None, {"id": "a", "joints": [0]}, None, None, None]


def test_added_and_deleted_people_come_back_to_their_places(tmp_path):
    body = """
    const [a, b, c] = ["a", "b", "c"].map((id) => ({id, v: id}));
    const gone = {id: "b", before: b, after: null, place: 1};
    const left = steps.redone([a, b, c], gone), back = steps.undone(left, gone);
    const added = {id: "d", before: null, after: {id: "d", v: "d"}, place: 3};
    const more = steps.redone(back, added);
    const ids = (people) => people.map(({id}) => id).join("");
    const named = steps.renamed({past: [added], future: []}, {d: "e"}).past[0];
    const less = steps.undone(more, added);
    console.log(JSON.stringify([ids(left), ids(back), ids(more), ids(less), named.id, named.after.id]));"""
    assert run(tmp_path, body, "steps") == ["ac", "abc", "abcd", "abc", "e", "e"]


def test_a_version_that_lacks_what_the_canvas_needs_says_what_is_off(tmp_path):
    script = """
    import fs from "fs";
    import vm from "vm";

    const bundle = fs.readFileSync(process.argv[2], "utf8");
    function load(app) {
      const parts = [];
      const page = {
        React: {createElement: (tag, props, ...children) => ({tag, props, children})}, addEventListener() {}, ...app,
        __fop__: {registerComponent: (part) => parts.push(part), PluginComponentType: {Component: 1}},
      };
      vm.runInNewContext(bundle, {window: page, document: {}, console});
      const [shown] = parts.filter(({name}) => name === "PoseRefine").map(({component}) => component({schema: {}}));
      return typeof shown.tag === "string" ? shown.children : shown.tag.name;
    }
    const whole = {useTriggerPanelEvent() {}, useGlobalExecutionContext() {}};
    console.log(JSON.stringify([load({__foo__: {}}), load({__foo__: whole})]));
    """
    (tmp_path / "run.mjs").write_text(script)
    command = ["node", tmp_path / "run.mjs", plugin_folder() / "dist" / "pose_review.js"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    off, on = json.loads(done.stdout)
    assert off == ["Pose refine is off: this version of FiftyOne has no events of panels."] and on == "Refine"
