/** Sends edits and applies the answers. */
import * as backend from "./backend.js";
import * as chip from "../surface/chip.js";
import {contextOf} from "./context.js";
import {diagnostics} from "../config.js";
import * as frames from "../drawing/frames.js";
import * as lsHistory from "../label_studio/history.js";
import * as lsPage from "../label_studio/page.js";
import * as lsProbes from "../label_studio/probes.js";
import * as lsRegions from "../label_studio/regions.js";
import {personsOf} from "../pose/persons.js";
import {placesOf, samePlace} from "../pose/places.js";

const KEPT = "Your edit is kept; the other joints stay where they are.";
let latest = 0; // number of the newest request; older answers are dropped
let unanswered = {annotation: null, places: new Map()}; // edited region -> where it was when it was sent
let waiting = null; // an answer that came while the mouse was down
let mouse = {isDown: () => false, takeOver: () => {}};

/** Get to know the mouse: `isDown()`, and `takeOver(annotation, ids)` after an answer has moved regions. */
export function connect(connected) {
  mouse = connected;
}

const NEEDS = ["address", "task", "editing", "asking", "saving", "history", "regions", "persons", "places", "origin",
  "moving", "items", "extent", "locks"];

/** Whether this Label Studio has all that refinement needs. */
export const isPossible = () => lsProbes.can(...NEEDS);

/** Send an edit, all unanswered ones with it, and apply the answer. */
export async function request(annotation, editedIds, startedAt) {
  const places = placesOf(annotation);
  rememberUnanswered(annotation, editedIds, places);
  const edit = {
    number: ++latest,
    annotation,
    edited: new Set(unanswered.places.keys()),
    places,
    childless: boxesWithoutKeypoints(annotation),
    step: lsHistory.latestStep(annotation),
    times: {mouseUp: startedAt, posted: 0, answered: 0, applied: 0},
  };
  waiting = null;
  diagnostics.requests += 1;
  if (chip.current() !== "none") chip.show("refining");
  frames.invalidate();
  try {
    const context = contextOf(annotation, edit.edited);
    edit.times.posted = performance.now();
    edit.items = await backend.refine(lsPage.taskId(), context);
    edit.times.answered = performance.now();
    if (edit.number === latest) tellAnswered(edit.items !== null);
    if (edit.items) deliver(edit);
  } catch (error) {
    fail(edit, error);
  }
}

export const isWaiting = () => unanswered.places.size > 0;

/** Expect no answer any more: the annotation is being saved, and is to stay as the annotator saw it. */
export function dropUnanswered() {
  if (!unanswered.places.size) return;
  latest += 1;
  waiting = null;
  unanswered.places.clear();
  if (chip.current() === "refining") chip.show("ready");
}

/** Add to the unanswered edits; those that have been undone meanwhile are no edits any more. */
function rememberUnanswered(annotation, editedIds, places) {
  if (unanswered.annotation !== annotation) unanswered = {annotation, places: new Map()};
  for (const [id, sent] of unanswered.places) {
    if (!samePlace(sent, places.get(id))) unanswered.places.delete(id);
  }
  editedIds.forEach((id) => unanswered.places.set(id, places.get(id)));
}

function tellAnswered(hasBackend) {
  if (hasBackend) chip.show("ready");
  else chip.hide();
}

function boxesWithoutKeypoints(annotation) {
  const persons = [...personsOf(annotation).values()];
  return new Set(persons.filter((person) => person.box && !person.keypoints.size).map((person) => person.id));
}

function fail(edit, error) {
  if (edit.number !== latest) return;
  unanswered.places.clear();
  diagnostics.last = {failed: String(error)};
  const sentence = String(error.message ?? error).slice(0, 300);
  chip.show(error instanceof backend.Refusal ? "refused" : "offline", sentence);
  if (error instanceof backend.Refusal) chip.noticeOnce(`${sentence.replace(/[.\s]*$/, "")}. ${KEPT}`);
  else chip.noticeOnce(`Click-Pose ${error.name === "TimeoutError" ? "is slow to" : "does not"} answer. ${KEPT}`);
}

/** Apply an answer, now or when the mouse is up; drop it where it no longer fits. */
function deliver(edit) {
  if (!fits(edit)) {
    diagnostics.dropped += 1;
    return;
  }
  if (mouse.isDown()) {
    waiting = edit;
    return;
  }
  unanswered.places.clear();
  apply(edit);
  mouse.takeOver(edit.annotation, edit.items.map((item) => item.id));
  edit.times.applied = performance.now();
  frames.invalidate();
  diagnostics.applied += 1;
  diagnostics.last = {edited: [...edit.edited], times: edit.times};
}

/** Whether no newer edit, undo, or change of task has come between. */
function fits({number, annotation, edited, places}) {
  if (number !== latest || !lsPage.isSelected(annotation)) return false;
  const now = placesOf(annotation);
  return [...edited].every((id) => !places.has(id) || samePlace(places.get(id), now.get(id)));
}

/** Deliver the answer that waited for the mouse. */
export function deliverWaiting() {
  const edit = waiting;
  waiting = null;
  if (edit) deliver(edit);
}

/** Move, draw and score regions as an answer says, all as one step of the history. */
function apply(edit) {
  const {annotation, items, places, edited, childless, step} = edit;
  const regions = new Map(annotation.regions.map((region) => [region.cleanId, region]));
  const fresh = items.filter((item) => !regions.has(item.id) && childless.has(lsRegions.cleanId(item.parentID)));
  const known = items.filter((item) => item.type !== "choices" && regions.has(item.id));
  const replace = lsHistory.isLatestStep(annotation, step);
  lsHistory.asOneStep(
    annotation,
    () => {
      for (const item of known.filter(({id}) => !lsRegions.isLocked(regions.get(id)))) {
        const region = regions.get(item.id);
        const hasMoved = !samePlace(places.get(item.id), lsRegions.place(region));
        if (!edited.has(item.id) && !hasMoved && !isAt(region, item)) lsRegions.moveTo(region, item.value);
        lsRegions.setScore(region, item.score);
      }
      adopt(known, regions);
      lsRegions.addItems(annotation, fresh);
      lsRegions.sendBoxesToBack(annotation);
    },
    {replace},
  );
}

function isAt(region, {value}) {
  const numbers = [value.x, value.y, value.width, value.height, value.rotation ?? 0];
  return samePlace(lsRegions.place(region), lsRegions.isBox(region) ? numbers : numbers.slice(0, 2));
}

/** A keypoint that was placed by hand joins the person that the backend gave it to. */
function adopt(items, regions) {
  const boxes = items.map((item) => regions.get(item.id)).filter(lsRegions.isBox);
  if (boxes.length !== 1) return;
  for (const item of items) {
    const region = regions.get(item.id);
    if (!lsRegions.isKeypoint(region) || lsRegions.parentId(region) || lsRegions.isLocked(region)) continue;
    lsRegions.setParent(region, boxes[0]);
  }
}
