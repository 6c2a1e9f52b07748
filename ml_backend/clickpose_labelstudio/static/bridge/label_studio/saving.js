/** What Label Studio is saving just now, how to come before it, and what is left where it fails. */
import {can} from "./probes.js";
import * as lsPage from "./page.js";
import {replaceAction, runAsAction} from "./actions.js";

/** Whether an annotation is being submitted, updated or accepted just now. */
export const isSaving = () => Boolean(window.Htx?.isSubmitting);

const drafted = new WeakMap(); // annotation -> how many drafts of it are on their way

/** Whether a draft is on its way. Label Studio itself takes one that has failed for one that is. */
export const isDraftOnTheWay = (annotation) => drafted.get(annotation) > 0;

/** Give up the draft that is being saved, if one is, and save what is there now. */
export function saveDraftAnew(annotation) {
  annotation.setDraftSaving(false);
  annotation.saveDraft();
}

/**
 * Hear what becomes of drafts: `kept(draft)` or `failed(draft, annotation)`, where `draft` is all that {@link sendDraft}
 * needs, as plain data. Label Studio itself hears nothing of a failure.
 */
export function followDrafts({kept, failed}) {
  const {events} = window.Htx;
  if (known.has(events)) return;
  known.add(events);
  replaceAction(events, "invokeFirst", (original) => (name, ...args) => {
    const answer = original(name, ...args);
    if (name !== "submitDraft" || !answer?.then) return answer;
    const annotation = args[1];
    const draft = {
      user: lsPage.userId(), task: lsPage.taskId(), annotation: annotation.pk ?? null, draftId: annotation.draftId || null,
      result: annotation.versions.draft,
    };
    drafted.set(annotation, (drafted.get(annotation) ?? 0) + 1);
    const told = (become) => (said) => {
      drafted.set(annotation, drafted.get(annotation) - 1);
      become(said);
    };
    const fail = () => failed(draft, annotation);
    answer.then(told((said) => (isRefused(said) ? fail() : kept(draft))), told(fail));
    return answer;
  });
}

const isRefused = (said) => (said?.$meta?.status ?? said?.status) >= 400;

/** Save a draft by Label Studio's public interface; returns the status. */
export async function sendDraft({task, annotation, draftId, result}) {
  const ofTask = annotation ? `tasks/${task}/annotations/${annotation}/drafts` : `tasks/${task}/drafts`;
  const {status} = await fetch(`${lsPage.pathPrefix()}/api/${draftId ? `drafts/${draftId}/` : ofTask}`, {
    method: draftId ? "PATCH" : "POST",
    credentials: "same-origin",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify({result}),
  });
  return status;
}

/** Whether a task has this very draft. */
export async function hasDraft({task, result}) {
  const response = await fetch(`${lsPage.pathPrefix()}/api/tasks/${task}/drafts`, {credentials: "same-origin"});
  const said = await response.json();
  return (said.results ?? said).some((draft) => inOrder(draft.result) === inOrder(result));
}

/** A value as text, whatever the order of its keys. */
function inOrder(value) {
  const sorted = (_, part) => (part?.constructor === Object ? Object.fromEntries(Object.entries(part).sort()) : part);
  return JSON.stringify(value, sorted);
}

const OUTLIVES_LENGTH = 60_000; // of a request that may outlive its page: browsers allow 64 KB

/** Save a draft of what Label Studio would save a moment later, though the page is about to go. */
export function saveDraftAtOnce(annotation) {
  const {fetch} = window;
  if (fetch === outliving) return;
  outliving = (address, options) =>
    fetch(address, {...options, keepalive: options?.body?.length < OUTLIVES_LENGTH || options?.keepalive});
  window.fetch = outliving;
  annotation.saveDraftImmediately();
  setTimeout(() => (window.fetch = fetch), 0);
}

let outliving = null; // stands in the place of the page's own while a draft is being sent

const SAVING = ["submitAnnotation", "updateAnnotation", "acceptAnnotation", "rejectAnnotation", "skipTask"];
const LEAVING = ["nextTask", "prevTask"]; // as events, since buttons keep these actions from when they were drawn
const known = new WeakSet();
const started = new Map(); // annotation -> how to tell it that its submission has begun
const waiting = new Set(); // annotations that are to be saved or left, once there is an answer
const onTheWay = new Map(); // annotation -> since when, ms, it is on its way to Label Studio
let latest = Promise.resolve(true); // tells whether what has last been sent was saved

/** Tells, as soon as it is known, whether the annotation that is on its way has been saved; null where none is. */
export const whenSaved = () => (onTheWay.size ? latest : null);

/**
 * Come before all that saves or leaves an annotation by a key or a button.
 *
 * `before(annotation, name)` returns null to let it go on at once, or a promise of whether it is to go on. Until then
 * Label Studio does not know that its button has been pressed: it goes on saving drafts, and the annotation is left as
 * ever. A second press is the same as the first, also when the annotation is on its way: Label Studio frees its button
 * after five seconds, answer or no answer, and would make a second annotation. `again(since)` is called then;
 * `saving(annotation)` when the annotation is about to be sent, then `saved(annotation)` or `failed(annotation)`.
 */
export function comeBefore(annotation, rules) {
  const store = window.Htx;
  if (!known.has(store)) {
    known.add(store);
    for (const name of SAVING) replaceAction(store, name, (original) => inTime(store, name, original, rules));
    replaceAction(store.events, "invoke", (original) => asEvent(store, original, rules));
  }
  if (!known.has(annotation)) {
    known.add(annotation);
    // no draft is saved from here on, so this has to wait as well
    replaceAction(annotation, "submissionInProgress", (original) => () => void started.set(annotation, original));
  }
}

function inTime(store, name, original, rules) {
  return (...args) => {
    const annotation = store.annotationStore.selected;
    if (waiting.has(annotation)) return undefined;
    if (onTheWay.has(annotation)) return rules.again(onTheWay.get(annotation));
    const go = () => original(...args);
    return inTurn(store, annotation, rules.before(annotation, name), go);
  };
}

/** What is saved by a way that {@link inTime} does not know, such as a button drawn long ago, comes here, too. */
function asEvent(store, original, rules) {
  return (name, ...args) => {
    const annotation = store.annotationStore?.selected;
    const go = () => original(name, ...args);
    if (annotation && SAVING.includes(name)) return send(store, annotation, go, rules);
    if (!annotation || !LEAVING.includes(name)) return go();
    return inTurn(store, annotation, rules.before(annotation, name), go);
  };
}

/** Send an annotation, once; one that is not saved is left as it was before, so that drafts of it go on being saved. */
async function send(store, annotation, go, rules) {
  if (onTheWay.has(annotation)) return rules.again(onTheWay.get(annotation));
  started.get(annotation)?.();
  started.delete(annotation);
  rules.saving(annotation);
  const {draftId} = annotation;
  onTheWay.set(annotation, performance.now());
  let tell;
  latest = new Promise((done) => (tell = done));
  try {
    return await go();
  } finally {
    onTheWay.delete(annotation);
    const isSaved = window.Htx !== store || store.annotationStore?.selected !== annotation; // it is loaded anew then
    setTimeout(() => tell(isSaved), 0);
    if (isSaved) rules.saved(annotation);
    else setTimeout(() => takeBack(store, annotation, draftId, rules), 0); // after Label Studio's own steps
  }
}

/** Label Studio would show for ever that it is loading, save no draft any more, and forget the one that there is. */
function takeBack(store, annotation, draftId, rules) {
  if (annotation.$treenode?.isAlive === false || !can("batches")) return;
  store.setFlags({isLoading: false});
  runAsAction(annotation, () => (annotation.submissionStarted = 0));
  if (draftId && !annotation.draftId) annotation.setDraftId?.(draftId);
  rules.failed(annotation);
}

function inTurn(store, annotation, due, go) {
  if (!due) return go();
  waiting.add(annotation);
  return due.then((goesOn) => {
    waiting.delete(annotation);
    if (goesOn && window.Htx === store && store.annotationStore.selected === annotation) return go();
    started.delete(annotation);
    return undefined;
  });
}
