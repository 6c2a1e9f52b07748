/**
 * Click-Pose bridge: runs on Label Studio's pages and changes nothing but what the annotator sees and edits there.
 *
 * - Every edit of a person (a keypoint dragged or placed, a box drawn, moved or resized) is sent to the Click-Pose
 *   backend; the answer moves the other joints and the box of that person.
 * - It draws the bones between a person's keypoints, coloured by predicted OKS.
 *
 * How edits and undo go together: a drag and the refinement that follows are ONE step of Label Studio's history, so
 * one undo restores exactly what was there before the mouse was pressed. Should the annotator do something else while
 * the answer is on its way, the refinement becomes a step of its own. An edit made meanwhile takes the unanswered ones
 * along in its request, and the older answer is dropped.
 *
 * What a human has placed or confirmed is kept where Label Studio keeps it: in the `origin` of the region, which is
 * "prediction" until the annotator moves or accepts it. It is saved with drafts and restored by undo. The bridge moves
 * regions without touching their origin.
 *
 * `Htx` is not a public interface of Label Studio. Everything that is known about it is in label_studio/, and is looked for
 * on the page before it is used (label_studio/probes.js): what is not there switches off what needs it, with a sentence.
 *
 * This file begins and follows the pages, which come and go without a reload. The page gets all files as one script, made
 * by launch/bridge_script.py.
 */
import * as backend from "./edits/backend.js";
import * as chip from "./surface/chip.js";
import {config, diagnostics} from "./config.js";
import * as display from "./drawing/display.js";
import * as drafts from "./edits/drafts.js";
import * as gestures from "./edits/gestures.js";
import * as isolation from "./keys/isolation.js";
import {follow} from "./drawing/follow.js";
import * as hover from "./drawing/hover.js";
import * as keys from "./keys/keys.js";
import * as labels from "./edits/labels.js";
import * as leaving from "./edits/leaving.js";
import * as lsPage from "./label_studio/page.js";
import * as lsProbes from "./label_studio/probes.js";
import * as lsRegions from "./label_studio/regions.js";
import * as lsSaving from "./label_studio/saving.js";
import * as lsViewport from "./label_studio/viewport.js";
import * as limits from "./surface/limits.js";
import * as notices from "./surface/notices.js";
import * as people from "./instant/people.js";
import * as pictures from "./surface/pictures.js";
import * as panning from "./edits/panning.js";
import * as progress from "./surface/progress.js";
import * as refinement from "./edits/refinement.js";
import * as wholePersons from "./edits/whole_persons.js";
import * as submit from "./edits/submit.js";

const STRANGE_MS = 1000; // between looks for a photo that is not recognized
const STRANGE_LOOKS = 4; // after which it is told
let strange = 0; // how often in a row there was such a photo
let shownFor = null; // project whose state the chip shows

/** What the page shows has been drawn. */
function shown() {
  enter();
  const view = lsPage.view();
  if (view) lsRegions.letThrough(view);
  if (view) {
    submit.attend(view.annotation);
    drafts.attend();
    isolation.follow(view);
    if (lsProbes.can("fitting")) lsViewport.fitOnce(view);
  }
  if (!lsProbes.can("submitting") && refinement.isWaiting()) lookForSaving();
}

let looking = 0;

/** See a Submit that cannot be waited with, while an answer is due; at no other time. */
function lookForSaving() {
  looking ||= requestAnimationFrame(() => {
    looking = 0;
    if (lsSaving.isSaving()) submit.saving();
    if (refinement.isWaiting()) lookForSaving();
  });
}

function enter() {
  if (shownFor === lsPage.projectId()) return;
  shownFor = lsPage.projectId();
  look();
}

/** Show whether the project has a backend, and whether it answers. */
async function look() {
  const project = shownFor;
  let state = "ready";
  let trouble = "";
  try {
    if (!(await backend.check())) state = "none";
  } catch (error) {
    [state, trouble] = [error instanceof backend.Misconfigured ? "configuration" : "offline", String(error.message)];
  }
  if (shownFor !== project || chip.current() === "refining") return;
  if (state === "none") chip.hide();
  else chip.show(state, trouble);
  if (state === "ready") labels.look();
}

/** Notice by itself that a backend, or Label Studio, which was away is back. */
function lookAgain() {
  drafts.saveAgain();
  if (shownFor === null) return;
  if (!document.hidden && ["offline", "configuration"].includes(chip.current())) look();
}

function leave() {
  if (shownFor === null) return;
  shownFor = null;
  chip.hide();
}

/** Say that the bridge is off where a photo is on the page, for a while already, that it cannot find its way in. */
async function lookForStrange() {
  strange = lsPage.isStrange() ? strange + 1 : 0;
  if (!strange && chip.current() === "off") chip.hide();
  if (strange !== STRANGE_LOOKS) return;
  const isOurs = await backend.check().catch(() => true); // away, or not to be asked, is no reason for silence
  if (isOurs && lsPage.isStrange()) limits.tellOff();
}

function start() {
  if (!window.APP_SETTINGS) return; // a page without the application, such as the login
  progress.watch();
  lsProbes.onLook(limits.tell);
  gestures.listen(submit.attend);
  keys.listen();
  hover.listen(people.approach);
  wholePersons.listen();
  drafts.listen();
  leaving.listen();
  submit.listen();
  panning.listen();
  setInterval(lsProbes.safely(lookAgain), config.retryMs);
  setInterval(lsProbes.safely(lookForStrange), STRANGE_MS);
  follow({shown, gone: leave});
}

// Delivered twice, say by a userscript and by a proxy, the script works once.
if (!window.__clickposeBridge) {
  window.__clickposeBridge = {
    diagnostics,
    status: chip.current,
    bonesShown: () => display.get("bones"),
    shown: display.get,
    show: display.set,
    probes: (view = lsPage.view()) => lsProbes.report(view),
    openPictures: pictures.open,
    say: notices.say,
    answers: refinement.bothAnswers,
    missing: () => lsProbes.missing().map(({name}) => name),
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start, {once: true});
  else start();
}
