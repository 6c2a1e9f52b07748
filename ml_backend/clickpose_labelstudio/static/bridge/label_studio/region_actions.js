/**
 * Deleting, hiding and locking of regions, by whichever way: Label Studio's keys, its outliner, its panels.
 *
 * Label Studio's annotation is a tree of mobx-state-tree, whose nodes let a middleware see each action before it is done.
 * Only what the annotator does is looked at, not what other actions do in turn, such as hiding all boxes by their label.
 */
import * as lsHistory from "./history.js";
import {safely} from "./probes.js";

const HISTORY_KEY = "clickpose-regions";
const ON_ONE = {deleteRegion: "delete", toggleHidden: "hide", setLocked: "lock"};
const ON_SELECTED = {deleteSelectedRegions: "delete", hideSelectedRegions: "hide", lockSelectedRegions: "lock"};
const watched = new WeakSet();
let current = null; // the action that is being done: {refused}
let rules = null;

/**
 * Follow the actions on regions from now on.
 *
 * `before(annotation, does, regions)`, `does` being "delete", "hide" or "lock", returns {refused, after}: a set of
 * regions that are not to be deleted, and what to do when it is done, as part of the same step of the history.
 * `travel(annotation)` is called before undo and redo, and returns what to do afterwards.
 */
export function connect(connected) {
  rules = connected;
}

/** See the actions on the regions of an annotation; once is enough. */
export function watch(annotation) {
  const node = annotation.$treenode;
  if (watched.has(node)) return;
  watched.add(node);
  node.addMiddleWare((call, next, abort) => pass(annotation, call, next, abort), false);
}

/** Change regions without being followed by oneself. */
export function quietly(change) {
  const before = current;
  current = before ?? {refused: new Set()};
  try {
    change();
  } finally {
    current = before;
  }
}

function pass(annotation, call, next, abort) {
  if (current) {
    if (call.name === "deleteRegion" && current.refused.has(call.context)) abort(undefined);
    else next(call);
    return;
  }
  if (call.parentId !== 0) next(call);
  else if (call.context === annotation && /^(undo|redo)$/.test(call.name)) travel(annotation, call, next);
  else follow(annotation, call, next, abort);
}

function follow(annotation, call, next, abort) {
  const [does, regions] = read(annotation, call);
  const plan = does && safely(rules.before)(annotation, does, regions);
  if (!plan) {
    next(call);
    return;
  }
  lsHistory.holdHistory(annotation, HISTORY_KEY);
  try {
    current = plan;
    if (call.name === "deleteRegion" && plan.refused.has(regions[0])) abort(undefined);
    else next(call);
    safely(plan.after)();
  } finally {
    current = null;
    lsHistory.releaseHistory(annotation, HISTORY_KEY);
  }
}

function travel(annotation, call, next) {
  const after = safely(rules.travel)(annotation);
  next(call);
  if (after) quietly(() => lsHistory.asNoStep(annotation, safely(after)));
}

/** What a call does, and to which regions. */
function read(annotation, {name, context, args}) {
  if (context === annotation && name in ON_SELECTED) return [ON_SELECTED[name], [...annotation.selectedRegions]];
  if (context === annotation && name === "deleteRegion") return ["delete", [args[0]]];
  return name in ON_ONE && annotation.regions.includes(context) ? [ON_ONE[name], [context]] : [null, []];
}
