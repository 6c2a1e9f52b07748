/** Label Studio's undo history: several changes as one step. */

import {can} from "./probes.js";

const HISTORY_KEY = "clickpose"; // under which the history is held while one step is made

/** Hold the history, so that what happens until {@link releaseHistory} becomes one step. */
export const holdHistory = (annotation) => annotation.history.freeze(HISTORY_KEY);

export const releaseHistory = (annotation) => annotation.history.unfreeze(HISTORY_KEY);

/** Run `change` as one step of the history; `replace`: as part of the latest step. */
export function asOneStep(annotation, change, {replace = false} = {}) {
  if (replace) annotation.history.setReplaceNextUndoState(true);
  holdHistory(annotation);
  try {
    atOnce(annotation, change);
  } finally {
    releaseHistory(annotation);
  }
}

/**
 * Run `change` as one action of Label Studio's tree: what follows from changes (snapshots of all regions, what is shown)
 * is worked out once after all of them, not after each. Any action that calls back serves.
 */
function atOnce(annotation, change) {
  if (!can("batches")) {
    change();
    return;
  }
  let isDone = false;
  annotation.traverseTree(() => {
    if (!isDone) change();
    isDone = true;
    return "stop";
  });
}

/** The latest step of the history, to tell later whether another one has been made or taken back. */
export function latestStep({history}) {
  return {index: history.undoIdx, state: history.history[history.undoIdx]};
}

export function isLatestStep(annotation, step) {
  const now = latestStep(annotation);
  return now.index === step.index && now.state === step.state && step.index > 0;
}
