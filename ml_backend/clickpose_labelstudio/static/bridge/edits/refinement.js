/** Sends edits and applies the answers. */
import * as backend from "./backend.js";
import * as chip from "../surface/chip.js";
import {contextOf} from "./context.js";
import {diagnostics} from "../config.js";
import * as frames from "../drawing/frames.js";
import * as labels from "./labels.js";
import * as lsHistory from "../label_studio/history.js";
import * as lsPage from "../label_studio/page.js";
import * as lsProbes from "../label_studio/probes.js";
import * as lsRegions from "../label_studio/regions.js";
import * as notices from "../surface/notices.js";
import {ownerId, personsOf} from "../pose/persons.js";
import * as people from "../instant/people.js";
import {placesOf, samePlace} from "../pose/places.js";
import * as preview from "../instant/preview.js";

const KEPT = "Your edit is kept; the other joints stay where they are.";
const LEFT = "You went on before an answer came. Your edit is kept; the other joints stayed where they were.";
const NOBODY = "No joint is likely to be seen in this box. To place one, choose its label and Ctrl+click its place.";
let latest = 0; // number of the newest request; older answers are dropped
let unanswered = {annotation: null, places: new Map()}; // edited region -> where it was when it was sent
let waiting = null; // an answer that came while the mouse was down
let mouse = {isDown: () => false, takeOver: () => {}, attend: () => {}};

/**
 * Get to know the mouse: `isDown()`, `takeOver(annotation, ids)` after an answer has moved regions, and
 * `attend(annotation)` before one is asked for.
 */
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
  mouse.attend(annotation);
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
    edit.times.posted = performance.now();
    const here = await answerHere(annotation, edit.edited);
    const answer = here ?? (await backend.refine(lsPage.taskId(), contextOf(annotation, edit.edited)));
    edit.isLocal = here !== null;
    edit.items = answer?.items ?? null;
    edit.times.answered = performance.now();
    if (edit.number === latest) tellAnswered(answer);
    deliver(edit);
  } catch (error) {
    fail(edit, error);
  }
}

let answering = 0; // edits that the browser is answering just now

/** Whether an answer is a moment away, since nobody else has to be asked for it. */
export const isAnsweringHere = () => answering > 0;

async function answerHere(annotation, edited) {
  answering += 1;
  try {
    return await people.answer(annotation, edited);
  } finally {
    answering -= 1;
  }
}

/** What is answered here and what the backend answers to the same edit, for tests and the curious; nothing is applied. */
export async function bothAnswers(ids) {
  const {annotation} = lsPage.view();
  const edited = new Set(ids);
  const times = [performance.now()];
  const here = await people.answer(annotation, edited);
  times.push(performance.now());
  const there = await backend.refine(lsPage.taskId(), contextOf(annotation, edited));
  times.push(performance.now());
  return {here, there, hereMs: times[1] - times[0], thereMs: times[2] - times[1]};
}

/** Whether any answer has yet to come. */
export const isWaiting = () => unanswered.places.size > 0;

/** Whether an answer about the annotation has yet to come, or to be applied. */
export const isDue = (annotation) => unanswered.annotation === annotation && unanswered.places.size > 0;

/** Expect no answer any more: the annotation is to stay as the annotator sees it. Tells whether one was expected. */
export function dropUnanswered() {
  if (!unanswered.places.size) return false;
  latest += 1;
  waiting = null;
  unanswered.places.clear();
  preview.end();
  if (["refining", "waiting"].includes(chip.current())) chip.show("ready");
  return true;
}

/** Add to the unanswered edits; those that have been undone meanwhile are no edits any more. */
function rememberUnanswered(annotation, editedIds, places) {
  if (unanswered.annotation !== annotation) unanswered = {annotation, places: new Map()};
  for (const [id, sent] of unanswered.places) {
    if (!samePlace(sent, places.get(id))) unanswered.places.delete(id);
  }
  editedIds.forEach((id) => unanswered.places.set(id, places.get(id)));
}

function tellAnswered(answer) {
  if (answer) chip.show("ready");
  else chip.hide();
  labels.heed(answer?.notes ?? []);
}

function boxesWithoutKeypoints(annotation) {
  const persons = [...personsOf(annotation).values()];
  return new Set(persons.filter((person) => person.box && !person.keypoints.size).map((person) => person.id));
}

function fail(edit, error) {
  if (edit.number !== latest) return;
  preview.end();
  unanswered.places.clear();
  diagnostics.last = {failed: String(error)};
  const sentence = String(error.message ?? error).slice(0, 300);
  const isRefusal = error instanceof backend.Refusal;
  chip.show(error instanceof backend.Misconfigured ? "configuration" : isRefusal ? "refused" : "offline", sentence);
  const trouble = isRefusal
    ? sentence.replace(/[.\s]*$/, "")
    : `Click-Pose ${error.name === "TimeoutError" ? "is slow to" : "does not"} answer`;
  notices.say(`${trouble}. ${KEPT}`, {once: true});
}

/** Apply an answer, now or when the mouse is up; drop what no longer fits. */
function deliver(edit) {
  const isLatest = edit.number === latest;
  const isHere = lsPage.isSelected(edit.annotation);
  if (isLatest && isHere && edit.items && mouse.isDown()) {
    waiting = edit;
    return;
  }
  if (isLatest) unanswered.places.clear();
  if (isLatest && !isHere && edit.items) notices.say(LEFT);
  if (edit.items) applyFitting(edit, isLatest && isHere);
  if (isLatest) preview.end();
  if (isHere && !edit.isLocal) prepareFor(edit);
}

/** Apply what still fits of an answer. */
function applyFitting(edit, isWanted) {
  const items = isWanted && lsPage.isEditable(edit.annotation) ? fitting(edit) : [];
  if (!items.length) {
    diagnostics.dropped += 1;
    return;
  }
  apply({...edit, items});
  if ([...edit.edited].some((id) => edit.childless.has(id)) && !items.some(isKeypointItem)) notices.say(NOBODY);
  mouse.takeOver(edit.annotation, items.map((item) => item.id));
  edit.times.applied = performance.now();
  frames.invalidate();
  diagnostics.applied += 1;
  diagnostics.last = {edited: [...edit.edited], times: edit.times};
}

/** Have the next edit of the same person answered here. */
function prepareFor({annotation, edited}) {
  const region = annotation.regions.find(({cleanId}) => edited.has(cleanId));
  if (region && ownerId(region)) people.prepare(annotation, ownerId(region));
}

/** The items of an answer that still fit: those of persons whose edit has not been undone, changed or deleted since. */
function fitting({annotation, edited, places, items}) {
  const now = placesOf(annotation);
  const isStale = (id) => places.has(id) && !samePlace(places.get(id), now.get(id));
  const stale = new Set(items.filter(({id}) => edited.has(id) && isStale(id)).map(personOf));
  return items.filter((item) => !stale.has(personOf(item)));
}

const isKeypointItem = ({type}) => type === "keypointlabels";

/** Who an item of an answer belongs to: the box, or what the ids of a person without one have in common. */
const personOf = ({id, parentID}) => lsRegions.cleanId(parentID) || (id.match(/^cp-[^-]+/)?.[0] ?? id);

/** Deliver the answer that waited for the mouse. */
export function deliverWaiting() {
  const edit = waiting;
  waiting = null;
  if (edit) deliver(edit);
}

/** Move, draw and score regions as an answer says, all as one step of the history. */
function apply(edit) {
  const {annotation, items, places, childless, step} = edit;
  const regions = new Map(annotation.regions.map((region) => [region.cleanId, region]));
  const isOpen = ({id}) => regions.has(id) && !lsRegions.isLocked(regions.get(id));
  const known = items.filter((item) => item.type !== "choices" && isOpen(item));
  const fresh = items.filter((item) => !regions.has(item.id) && childless.has(lsRegions.cleanId(item.parentID)));
  const replace = lsHistory.isLatestStep(annotation, step);
  lsHistory.asOneStep(
    annotation,
    () => {
      for (const item of known) {
        const region = regions.get(item.id);
        if (isFree(region, places) && !isAt(region, item)) lsRegions.moveTo(region, item.value);
        lsRegions.setScore(region, item.score);
        adopt(region, regions.get(lsRegions.cleanId(item.parentID)));
      }
      lsRegions.addItems(annotation, fresh.filter(({parentID}) => regions.has(parentID)));
      lsRegions.sendBoxesToBack(annotation);
    },
    {replace},
  );
}

/** Whether an answer may move a region: no human has placed or accepted it, neither before nor since it was sent. */
function isFree(region, places) {
  return !lsRegions.isTouched(region) && samePlace(places.get(region.cleanId), lsRegions.place(region));
}

function isAt(region, {value}) {
  const numbers = [value.x, value.y, value.width, value.height, value.rotation ?? 0];
  return samePlace(lsRegions.place(region), lsRegions.isBox(region) ? numbers : numbers.slice(0, 2));
}

/** A keypoint that belongs to nobody joins the person that the backend gave it to. */
function adopt(region, box) {
  if (box && lsRegions.isKeypoint(region) && !lsRegions.parentId(region)) lsRegions.setParent(region, box);
}
