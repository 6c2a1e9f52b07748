/** What Label Studio is saving just now, and how to come before it. */
import {replaceAction} from "./actions.js";

/** Whether an annotation is being submitted, updated or accepted just now. */
export const isSaving = () => Boolean(window.Htx?.isSubmitting);

export const isSavingDraft = (annotation) => Boolean(annotation.isDraftSaving);

/** Give up the draft that is being saved, and save what is there now; throws while Label Studio cannot be reached. */
export async function saveDraftAnew(annotation) {
  annotation.setDraftSaving(false);
  await annotation.saveDraft();
}

const SAVING = ["submitAnnotation", "updateAnnotation", "acceptAnnotation", "rejectAnnotation", "skipTask"];
const LEAVING = ["nextTask", "prevTask"]; // as events, since buttons keep these actions from when they were drawn
const known = new WeakSet();
const started = new Map(); // annotation -> how to tell it that its submission has begun
const waiting = new Set(); // annotations that are to be saved or left, once there is an answer

/**
 * Come before all that saves or leaves an annotation by a key or a button.
 *
 * `before(annotation, name)` returns null to let it go on at once, or a promise of whether it is to go on. Until then
 * Label Studio does not know that its button has been pressed: it goes on saving drafts, and the annotation is left as
 * ever. A second press is the same as the first. `saving(annotation)` is called when the annotation is about to be sent.
 */
export function comeBefore(annotation, {before, saving}) {
  const store = window.Htx;
  if (!known.has(store)) {
    known.add(store);
    for (const name of SAVING) replaceAction(store, name, (original) => inTime(store, name, original, before));
    replaceAction(store.events, "invoke", (original) => asEvent(store, original, {before, saving}));
  }
  if (!known.has(annotation)) {
    known.add(annotation);
    // no draft is saved from here on, so this has to wait as well
    replaceAction(annotation, "submissionInProgress", (original) => () => void started.set(annotation, original));
  }
}

function inTime(store, name, original, before) {
  return (...args) => {
    const annotation = store.annotationStore.selected;
    const go = () => {
      begin(annotation);
      return original(...args);
    };
    return waiting.has(annotation) ? undefined : inTurn(store, annotation, before(annotation, name), go);
  };
}

/** What is saved by a way that {@link inTime} does not know, such as a button drawn long ago, comes here, too. */
function asEvent(store, original, {before, saving}) {
  return (name, ...args) => {
    const annotation = store.annotationStore?.selected;
    if (annotation && SAVING.includes(name)) {
      begin(annotation);
      saving(annotation);
    }
    if (!annotation || !LEAVING.includes(name)) return original(name, ...args);
    return inTurn(store, annotation, before(annotation, name), () => original(name, ...args));
  };
}

function begin(annotation) {
  started.get(annotation)?.();
  started.delete(annotation);
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
