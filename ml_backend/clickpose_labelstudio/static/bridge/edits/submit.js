/**
 * Saving or leaving an annotation while an answer is due waits for the answer, so that the refinement is saved with the
 * edit. It waits for a moment only, and what is not waited for is said.
 */
import * as chip from "../surface/chip.js";
import {config} from "../config.js";
import * as drafts from "./drafts.js";
import {can, safely} from "../label_studio/probes.js";
import * as gestures from "./gestures.js";
import * as lsLayout from "../label_studio/layout.js";
import * as lsPage from "../label_studio/page.js";
import * as lsSaving from "../label_studio/saving.js";
import {nextProblem} from "../keys/rounds.js";
import {count} from "../pose/words.js";
import {problemsOf} from "../pose/checks.js";
import * as notices from "../surface/notices.js";
import * as refinement from "./refinement.js";

const CHECKED = new Set(["submitAnnotation", "updateAnnotation", "acceptAnnotation"]);
const LEAVING = new Set(["nextTask", "prevTask"]);
const STAYED = "the other joints stay where they are";
const TURN_MS = 20; // between looks whether the answer has come
const LONG_MS = 1000; // after which a second press is answered; before, it is a double click

const RULES = {
  before: safely(before),
  again: safely(again),
  saving: safely(saving),
  saved: safely(drafts.forget),
  failed: safely(failed),
};

/** Be there when the annotation is saved; to be called whenever it is shown or pressed on. */
export function attend(annotation) {
  if (can("submitting")) lsSaving.comeBefore(annotation, RULES);
}

let held = null; // row of the list that has been clicked while an annotation was on its way

/** See clicks on the list of tasks from now on. */
export function listen() {
  window.addEventListener("click", safely(holdRow), true);
}

/**
 * Open another photo once the annotation has been saved: Label Studio comes back to this one then, and drops what has been
 * done in the other. Or once the browser has answered the latest edit: the draft that Label Studio saves first would lack
 * the joints that followed. A second click on the row opens it at once.
 */
function holdRow(event) {
  const row = lsLayout.taskRowOf(event.target);
  const saved = row && row !== held && !event.ctrlKey && !event.metaKey ? lsSaving.whenSaved() ?? whenAnsweredHere() : null;
  if (!saved) return;
  event.stopPropagation();
  held = row;
  saved.then((isSaved) => {
    const isMeant = held === row;
    if (isMeant) held = null;
    if (isMeant && isSaved && row.isConnected) row.click();
  });
}

/** Tells when the edit that has just been made has its answer, if that comes from the browser itself; null for no edit. */
function whenAnsweredHere() {
  const annotation = lsPage.view()?.annotation;
  const isDueHere = () => gestures.isBusy(annotation) || refinement.isAnsweringHere();
  if (!annotation || !lsPage.isEditable(annotation) || !isDueHere()) return null;
  return until(() => !isDueHere()).then(() => true);
}

/** Look again and again, for as long as an answer is waited for. */
async function until(isOver) {
  const end = performance.now() + config.submitWaitMs;
  while (!isOver() && performance.now() < end) await new Promise((done) => setTimeout(done, TURN_MS));
}

/** Problems that have been told of before a submission; they do not hold up another one. */
const told = new Set();

const isDue = (annotation) => gestures.isBusy(annotation) || refinement.isDue(annotation);

function before(annotation, name) {
  if (!lsPage.isEditable(annotation)) return null;
  const isFine = () => !CHECKED.has(name) || safely(check)(annotation) !== false;
  if (isDue(annotation)) return wait(annotation, LEAVING.has(name)).then((goesOn) => goesOn && isFine());
  return isFine() ? null : Promise.resolve(false);
}

/** Name what looks wrong, once, in place of the first submission; whether to go on. The next press submits it as it is. */
function check(annotation) {
  const keyOf = ({kind, regionIds}) => [lsPage.taskId(), kind, ...regionIds].join();
  const problems = problemsOf(annotation).filter((problem) => !told.has(keyOf(problem)));
  if (!problems.length) return true;
  problems.forEach((problem) => told.add(keyOf(problem)));
  const more = problems.length > 1 ? ` And ${count(problems.length - 1, "other thing")}.` : "";
  const action = {label: "Show", run: () => lsPage.isSelected(annotation) && nextProblem(lsPage.view())};
  const text = `Not submitted yet: ${problems[0].text}${more} Submit once more to send it as it is.`;
  notices.say(text, {action, kind: "submit"});
  return false;
}

/** Wait until there is nothing to wait for; then go on whatever has come of it. */
async function wait(annotation, isLeaving) {
  const isHere = () => lsPage.isSelected(annotation);
  await until(() => {
    if (!isDue(annotation) || !isHere()) return true;
    if (chip.current() === "refining") chip.show("waiting");
    return false;
  });
  if (!isHere()) {
    if (!isLeaving) notices.say("You left the photo before it was submitted. It is not submitted; its draft is saved.");
    return false;
  }
  if (refinement.dropUnanswered()) {
    const seconds = Math.round(config.submitWaitMs / 1000);
    const what = isLeaving ? "Saved as a draft" : "Submitted";
    notices.say(`${what} without the refinement: no answer within ${seconds} s. Your edit is in it; ${STAYED}.`);
  }
  return true;
}

/** The annotation is being sent, maybe without having waited. */
export function saving() {
  notices.withdraw("submit");
  if (refinement.dropUnanswered()) {
    notices.say(`Submitted before the answer came. Your edit is in it; ${STAYED}.`);
  }
}

/** Submit has been pressed once more while the annotation is on its way, `since` when, ms. */
function again(since) {
  if (performance.now() - since < LONG_MS) return;
  notices.say("Label Studio has not answered yet: it is still saving this. It is sent once.", {kind: "submit"});
}

/** The annotation has not been saved: all is as before Submit was pressed, and is kept as a draft. */
function failed(annotation) {
  drafts.keep(annotation);
  notices.say("Label Studio has not saved this. Nothing is lost: it is kept as a draft. Submit it once more.", {kind: "submit"});
}
