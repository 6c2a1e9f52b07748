/** Label Studio's undo history: several changes as one step. */

const HISTORY_KEY = "clickpose"; // under which the history is held while one step is made

/** Hold the history, so that what happens until {@link releaseHistory} becomes one step. */
export const holdHistory = (annotation) => annotation.history.freeze(HISTORY_KEY);

export const releaseHistory = (annotation) => annotation.history.unfreeze(HISTORY_KEY);

/** Run `change` as one step of the history; `replace`: as part of the latest step. */
export function asOneStep(annotation, change, {replace = false} = {}) {
  if (replace) annotation.history.setReplaceNextUndoState(true);
  holdHistory(annotation);
  try {
    change();
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
