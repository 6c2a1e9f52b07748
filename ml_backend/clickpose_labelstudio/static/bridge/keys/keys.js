/** Shift with a letter: Label Studio gives plain letters and digits to labels. */
import * as lsHistory from "../label_studio/history.js";
import * as lsPage from "../label_studio/page.js";
import * as lsRegions from "../label_studio/regions.js";
import * as overlay from "../drawing/overlay.js";
import {personsOf} from "../pose/persons.js";

const REACH_PX = 14; // how far from a keypoint the mouse may be to mean it
let mouse = {x: -1, y: -1};

function mouseOn(stage) {
  const box = stage.content.getBoundingClientRect();
  return {x: mouse.x - box.left, y: mouse.y - box.top};
}

/** The keypoint under the mouse, else the selected one, else null. */
function targetKeypoint({annotation, stage}, reach = REACH_PX) {
  const {x, y} = mouseOn(stage);
  const transform = stage.getAbsoluteTransform();
  let best = null;
  for (const region of annotation.regions.filter(lsRegions.isKeypoint)) {
    const point = lsRegions.stagePoint(region, transform);
    const distance = Math.hypot(point.x - x, point.y - y) - region.canvasWidth;
    if (distance < reach && !(best?.distance <= distance)) best = {region, distance};
  }
  const selected = annotation.selectedRegions.find(lsRegions.isKeypoint);
  return best?.region ?? selected ?? null;
}

/** The person of that keypoint or of the selected box, else the smallest box under the mouse. */
function targetPerson(view) {
  const persons = personsOf(view.annotation);
  const keypoint = targetKeypoint(view);
  if (keypoint) return persons.get(lsRegions.parentId(keypoint)) ?? null;
  const {x, y} = mouseOn(view.stage);
  const at = view.stage.getAbsoluteTransform().copy().invert().point({x, y});
  const [left, top] = [view.image.canvasToInternalX(at.x), view.image.canvasToInternalY(at.y)];
  const isUnder = ({box}) =>
    box && left >= box.x && top >= box.y && left <= box.x + box.width && top <= box.y + box.height;
  const under = [...persons.values()].filter(isUnder);
  under.sort((a, b) => a.box.width * a.box.height - b.box.width * b.box.height);
  const selected = view.annotation.selectedRegions.find(lsRegions.isBox);
  return under[0] ?? persons.get(selected?.cleanId) ?? null;
}

function toggleVisibility(view) {
  const region = targetKeypoint(view);
  if (region) lsHistory.asOneStep(view.annotation, () => lsRegions.toggleOccluded(region));
}

/** Count all regions of a person as checked by a human. */
function acceptPerson(view) {
  const person = targetPerson(view);
  if (!person) return;
  const regions = [person.box, ...person.keypoints.values()].filter(Boolean);
  lsHistory.asOneStep(view.annotation, () => regions.forEach((region) => region.updateOriginOnEdit()));
}

const ACTIONS = {KeyB: () => overlay.toggle(), KeyV: toggleVisibility, KeyA: acceptPerson};

function press(event) {
  const action = ACTIONS[event.code];
  const isPlainShift = event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
  const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
  const view = lsPage.view();
  if (!action || !isPlainShift || isTyping || !view) return;
  if (action !== ACTIONS.KeyB && !lsPage.isEditable(view.annotation)) return;
  event.preventDefault();
  action(view);
}

/** Take keys from now on. */
export function listen() {
  window.addEventListener("keydown", press, true);
  window.addEventListener("pointermove", (event) => (mouse = {x: event.clientX, y: event.clientY}), {
    capture: true,
    passive: true,
  });
}
