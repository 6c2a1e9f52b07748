/** Label Studio's undo history: several changes as one step. */

import {can} from "./probes.js";
import {runAsAction} from "./actions.js";

const HISTORY_KEY = "clickpose"; // under which the history is held while one step is made
const NO_STEP_KEY = "clickpose-no-step";

/** Hold the history, so that what happens until {@link releaseHistory} becomes one step. */
export const holdHistory = (annotation, key = HISTORY_KEY) => annotation.history.freeze(key);

export const releaseHistory = (annotation, key = HISTORY_KEY) => annotation.history.unfreeze(key);

/** The same where what happened has come to nothing. */
export const releaseWithoutStep = (annotation) => annotation.history.safeUnfreeze(HISTORY_KEY);

/** Run `change` without a step of the history: it changes what no undo is to take back, such as the order of regions. */
export function asNoStep(annotation, change) {
  holdHistory(annotation, NO_STEP_KEY);
  try {
    change();
  } finally {
    annotation.history.safeUnfreeze(NO_STEP_KEY);
  }
}

/** Release the history after something that may have changed nothing: only what differs becomes a step. */
export function releaseIfChanged(annotation) {
  const {history, trackedState} = annotation;
  const isSame = JSON.stringify(trackedState.toJSON()) === JSON.stringify(history.history[history.undoIdx]);
  if (isSame) history.safeUnfreeze(HISTORY_KEY);
  else history.unfreeze(HISTORY_KEY);
}

/** Run `change` as one step of the history; `replace`: as part of the latest step. */
export function asOneStep(annotation, change, {replace = false} = {}) {
  if (replace) annotation.history.setReplaceNextUndoState(true);
  holdHistory(annotation);
  try {
    if (can("batches")) runAsAction(annotation, change);
    else change();
  } finally {
    releaseHistory(annotation);
  }
}

/** The latest step of the history, to tell later whether another one has been made or taken back. */
export function latestStep({history}) {
  return {index: history.undoIdx, state: history.history[history.undoIdx]};
}

export function isLatestStep(annotation, step) {
  const now = latestStep(annotation);
  return now.index === step.index && now.state === step.state && step.index > 0;
}
