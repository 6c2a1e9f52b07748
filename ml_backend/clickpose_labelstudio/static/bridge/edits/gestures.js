/** Sees what a press of the mouse changed, and makes one step of history of it. Never stops an event. */
import * as lsHistory from "../label_studio/history.js";
import * as lsPage from "../label_studio/page.js";
import * as lsRegions from "../label_studio/regions.js";
import {can, safely} from "../label_studio/probes.js";
import {changed, placesOf, samePlace} from "../pose/places.js";
import * as placedJoints from "./placed_joints.js";
import * as preview from "../instant/preview.js";
import * as refinement from "./refinement.js";

const RIGHT_BUTTON = 2; // which moves nothing, and whose release a menu may swallow
const LATE_MS = 80; // Label Studio finishes some new regions a moment after the click

let attend = () => {};
let open = null;
const late = new Set(); // gestures that have changed nothing yet, and may do so within LATE_MS

function begin(event) {
  if (event.button === RIGHT_BUTTON) return;
  if (open) settle(open);
  const view = lsPage.view();
  if (!view || !refinement.isPossible()) return;
  if (!view.stage.content.contains(event.target) || !lsPage.isEditable(view.annotation)) return;
  const {annotation} = view;
  preview.end();
  attend(annotation);
  open = {annotation, before: placesOf(annotation), isIdle: false};
  for (const region of can("marks") ? annotation.regions : []) {
    if (lsRegions.isKeypoint(region) || lsRegions.isBox(region)) lsRegions.guardEdits(region, isEdit);
  }
  lsHistory.holdHistory(annotation); // a drag and the change of origin after it become one step
}

/** Whether a region that Label Studio takes for edited lies elsewhere than when the mouse was pressed. */
function isEdit(region) {
  const was = open?.before.get(region.cleanId);
  if (!was || open.annotation !== region.annotation || !samePlace(was, lsRegions.place(region))) return true;
  lsRegions.setPlace(region, was); // without what rounding has changed
  open.isIdle = true;
  return false;
}

function end() {
  const gesture = open;
  if (!gesture) return;
  const startedAt = performance.now();
  preview.release();
  setTimeout(safely(() => settle(gesture, startedAt)), 0); // after Label Studio's own handlers
}

function settle(gesture, startedAt = performance.now()) {
  if (open !== gesture) return;
  open = null;
  if (!givePlaced(gesture) && can("following")) lsHistory.releaseWithoutStep(gesture.annotation);
  else if (gesture.isIdle) lsHistory.releaseIfChanged(gesture.annotation);
  else lsHistory.releaseHistory(gesture.annotation);
  if (report(gesture, startedAt)) return;
  late.add(gesture);
  setTimeout(
    safely(() => {
      late.delete(gesture);
      if (!open) lsHistory.asOneStep(gesture.annotation, () => givePlaced(gesture), {replace: true});
      if (!report(gesture, startedAt) && !open) preview.end();
    }),
    LATE_MS,
  );
  refinement.deliverWaiting();
}

/** Give the joints that a gesture has placed to their persons; return whether anything has come of it. */
function givePlaced({annotation, before}) {
  const view = lsPage.view();
  if (view?.annotation !== annotation) return true;
  const fresh = annotation.regions.filter((region) => !before.has(region.cleanId));
  return !fresh.length || placedJoints.giveToPersons(view, fresh);
}

/** Take what an answer has just moved or drawn as given, lest it passes for the annotator's own edit. */
function takeOver(annotation, ids) {
  const places = placesOf(annotation);
  for (const gesture of late) {
    if (gesture.annotation !== annotation) continue;
    ids.filter((id) => places.has(id)).forEach((id) => gesture.before.set(id, places.get(id)));
  }
}

/** Ask for a refinement if something has changed. */
function report({annotation, before}, startedAt) {
  if (open || !lsPage.isSelected(annotation) || !lsPage.view() || !refinement.isPossible()) return false;
  const edited = changed(before, placesOf(annotation));
  const regions = new Map(annotation.regions.map((region) => [region.cleanId, region]));
  const ours = edited.filter((id) => !lsPage.asksByItself(regions.get(id)) && !regions.get(id).isDrawing);
  if (ours.length) {
    const told = () => placedJoints.tellLoose(annotation, ours);
    safely(() => refinement.request(annotation, ours, startedAt).then(told))();
  }
  return ours.length > 0;
}

/** Have the others follow; or see a release that nobody has told of, such as one outside the window. */
function move(event) {
  if (!open) return;
  if (event.buttons === 0 && event.pointerType === "mouse") end();
  else preview.follow(open.annotation);
}

/** Whether an edit of the annotation is being made, or may be just about to be noticed. */
export const isBusy = (annotation) => [open, ...late].some((gesture) => gesture?.annotation === annotation);

/** Watch the mouse from now on; `toAttend(annotation)` is called at every press on an annotation. */
export function listen(toAttend) {
  attend = toAttend;
  refinement.connect({isDown: () => open !== null, takeOver, attend});
  window.addEventListener("pointerdown", safely(begin), true);
  window.addEventListener("pointerup", end, true);
  window.addEventListener("pointercancel", end, true);
  window.addEventListener("pointermove", safely(move), {capture: true, passive: true});
  window.addEventListener("blur", end);
}
