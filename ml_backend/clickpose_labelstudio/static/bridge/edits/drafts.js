/**
 * Keeps what Label Studio could not save as a draft, and saves it as soon as that goes.
 *
 * Where the request fails, because Label Studio is being restarted or the network is gone, its page goes on waiting for
 * it for ever, and Submit with it; where the answer is an error, it takes the draft for saved. Either way the edits are
 * lost by opening another photo or loading the page anew. So they are kept beside, for as long as the tab is open.
 */
import * as lsPage from "../label_studio/page.js";
import * as lsProbes from "../label_studio/probes.js";
import * as lsSaving from "../label_studio/saving.js";
import * as notices from "../surface/notices.js";

const STORE = "clickpose-unsaved"; // in the tab's storage, which outlives the page
const GONE = 404; // a task that has been deleted, or a draft that has been submitted
const AWAY = "Label Studio does not save drafts just now. What you do is kept in this tab and saved as soon as it can be.";
const GOING_MS = 3000; // after which a page that was to be left is there to stay
let isGoing = false; // the page is being left
const copies = new Map(); // what it is a draft of -> what could not be saved
const annotations = new Map(); // the same -> the annotation, if it has been open on this page

const keyOf = ({user, task, annotation}) => [user, task, annotation].join();

/** Save what the page before could not, and warn of closing the tab while something is not saved. */
export function listen() {
  lsProbes.safely(load)();
  saveAgain(({isUncertain}) => !isUncertain);
  const isOurs = ({user}) => user === lsPage.userId();
  window.addEventListener("beforeunload", (event) => {
    if ([...copies.values()].some(isOurs)) event.preventDefault();
    isGoing = true;
    setTimeout(() => (isGoing = false), GOING_MS); // the annotator has stayed
  });
}

function load() {
  for (const copy of JSON.parse(sessionStorage.getItem(STORE) ?? "[]")) copies.set(keyOf(copy), copy);
}

/** Be there when drafts are saved; to be called whenever an annotation is shown. */
export function attend() {
  if (lsProbes.can("drafts")) lsSaving.followDrafts({kept: lsProbes.safely(drop), failed: lsProbes.safely(remember)});
}

/** Whether what has last been done to an annotation could not be saved. */
export const isUnsaved = (annotation) => [...annotations.values()].includes(annotation);

/** An annotation has been saved: no draft of it is to be. */
export function forget(annotation) {
  for (const [key, other] of annotations) {
    if (other === annotation) drop(copies.get(key));
  }
}

function drop(draft) {
  copies.delete(keyOf(draft));
  annotations.delete(keyOf(draft));
  store();
}

function remember(draft, annotation) {
  copies.set(keyOf(draft), {...draft, isUncertain: isGoing}); // the page that goes hears nothing more of its requests
  annotations.set(keyOf(draft), annotation);
  store();
  notices.say(AWAY, {once: true});
}

function store() {
  try {
    sessionStorage.setItem(STORE, JSON.stringify([...copies.values()]));
  } catch {
    // it is full: they are kept for as long as the page is open
  }
}

/** Save a draft of what is there now, at once or as soon as Label Studio can be reached. */
export function keep(annotation) {
  if (lsProbes.can("drafts")) lsSaving.saveDraftAnew(annotation);
}

/** Try again, if there is something to save; a Submit that waits goes on then. */
export function saveAgain(isDue = () => true) {
  for (const [key, copy] of [...copies].filter(([, copy]) => isDue(copy))) {
    const annotation = annotations.get(key);
    if (annotation && lsSaving.isDraftOnTheWay(annotation)) continue; // lest there are two
    if (annotation && lsPage.isSelected(annotation)) keep(annotation);
    else if (copy.user === lsPage.userId()) send(copy);
  }
}

/** Save a draft of an annotation that is not open any more. */
async function send(copy) {
  copies.delete(keyOf(copy)); // while it is on its way
  const isThere = copy.isUncertain && (await lsSaving.hasDraft(copy).catch(() => false));
  const status = isThere ? GONE : await lsSaving.sendDraft(copy).catch(() => 0);
  if (status >= 200 && status < 300) say(copy);
  else if (status !== GONE) copies.set(keyOf(copy), copy);
  store();
}

function say({task}) {
  const action = lsPage.isOpen(task) ? {label: "Show", run: () => location.reload()} : null;
  notices.say(`What could not be saved of photo ${task} is saved now, as a draft.`, {action});
}
