/** Sees what a press of the mouse changed, and makes one step of history of it. Never stops an event. */
import * as lsHistory from "../label_studio/history.js";
import * as lsPage from "../label_studio/page.js";
import {changed, placesOf} from "../pose/places.js";
import * as placedJoints from "./placed_joints.js";
import {can, safely} from "../label_studio/probes.js";
import * as refinement from "./refinement.js";

const LATE_MS = 80; // Label Studio finishes some new regions a moment after the click

let open = null;
const late = new Set(); // gestures that have changed nothing yet, and may do so within LATE_MS

function begin(event) {
  if (open) settle(open);
  const view = lsPage.view();
  if (!view || !refinement.isPossible()) return;
  if (!view.stage.content.contains(event.target) || !lsPage.isEditable(view.annotation)) return;
  open = {annotation: view.annotation, before: placesOf(view.annotation)};
  lsHistory.holdHistory(view.annotation); // a drag and the change of origin after it become one step
}

function end() {
  const gesture = open;
  if (!gesture) return;
  const startedAt = performance.now();
  setTimeout(safely(() => settle(gesture, startedAt)), 0); // after Label Studio's own handlers
}

function settle(gesture, startedAt = performance.now()) {
  if (open !== gesture) return;
  open = null;
  if (givePlaced(gesture) || !can("following")) lsHistory.releaseHistory(gesture.annotation);
  else lsHistory.releaseWithoutStep(gesture.annotation);
  if (report(gesture, startedAt)) return;
  late.add(gesture);
  setTimeout(
    safely(() => {
      late.delete(gesture);
      if (!open) lsHistory.asOneStep(gesture.annotation, () => givePlaced(gesture), {replace: true});
      report(gesture, startedAt);
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

/** Watch the mouse from now on. */
export function listen() {
  refinement.connect({isDown: () => open !== null, takeOver});
  window.addEventListener("pointerdown", safely(begin), true);
  window.addEventListener("pointerup", end, true);
  window.addEventListener("pointercancel", end, true);
  window.addEventListener("blur", end);
}
