/**
 * What this Label Studio can do. Its page is no public interface and differs from version to version: so each thing that
 * the bridge uses of it is looked for on the page itself, on the annotation that is open and before anything is touched.
 * What is not there switches off what needs it (`can(...)`), and the annotator reads it as a sentence.
 *
 * A probe only reads, and is quick. It returns true, false, or `undefined` where there is nothing to try it on yet, such
 * as on a photo without keypoints; it is then asked again. An exception counts as false.
 */
import {diagnostics} from "../config.js";
import {isReplaceable} from "./actions.js";
import * as layout from "./layout.js";

const isFunction = (...values) => values.every((value) => typeof value === "function");
const isNumber = (...values) => values.every((value) => Number.isFinite(value));
const isBoolean = (...values) => values.every((value) => typeof value === "boolean");
const near = (a, b) => Math.abs(a - b) < 1e-3;

/** Ask `test` of the first keypoint and the first box, as far as there are any. */
function each({keypoint, box}, test) {
  const regions = [keypoint, box].filter(Boolean);
  return regions.length ? regions.every(test) : undefined;
}

const KINDS = {keypointlabels: "keypointregion", rectanglelabels: "rectangleregion"};
const ORIGINS = ["prediction", "prediction-changed", "manual"];
const NOT_REFINED = "Edits are not refined";

/**
 * `name`: what `can` is asked; `of`: the functions of this folder that need it; `test`: looks at the view, to which the
 * first keypoint and the first box are added; `needs`: what is switched off without it.
 */
export const PROBES = [
  {
    name: "page",
    of: ["page.view", "page.isSelected", "page.isStrange", "layout.stageBox"],
    test: ({annotation}) => window.Htx.annotationStore.selected === annotation,
    needs: "Everything is off: the annotation on the page is not recognized.",
  },
  {
    name: "address",
    of: ["page.version", "page.userId", "page.projectId", "page.pathPrefix"],
    test: () => typeof window.APP_SETTINGS === "object" && /\/projects\/\d+/.test(location.pathname),
    needs: `${NOT_REFINED}: the project on the page is not recognized.`,
  },
  {
    name: "task",
    of: ["page.taskId", "page.isOpen"],
    test: () => isNumber(Number(window.Htx.task.id)),
    needs: `${NOT_REFINED}: the task on the page is not recognized.`,
  },
  {
    name: "editing",
    of: ["page.isEditable"],
    test: ({annotation}) => typeof annotation.type === "string" && isFunction(annotation.isReadOnly),
    needs: "Nothing is changed, neither by keys nor by refinement: who may edit is not known.",
  },
  {
    name: "asking",
    of: ["page.asksByItself"],
    test: (view) => ("autoAnnotation" in window.Htx ? each(view, ({dynamic}) => isBoolean(dynamic)) : false),
    needs: `${NOT_REFINED}: whether Label Studio asks the backend itself is not known.`,
  },
  {
    name: "saving",
    of: ["saving.isSaving"],
    test: () => isBoolean(window.Htx.isSubmitting),
    needs: `${NOT_REFINED}: when an annotation is being saved is not known.`,
  },
  {
    name: "submitting",
    of: ["saving.comeBefore", "saving.whenSaved", "layout.taskRowOf", "actions.replaceAction", "actions.isReplaceable"],
    test: ({annotation}) =>
      isFunction(window.Htx.submitAnnotation, window.Htx.events.invoke, annotation.submissionInProgress) &&
      isReplaceable(window.Htx, "submitAnnotation") && isReplaceable(annotation, "submissionInProgress"),
    needs: "Submit does not wait for an answer that is due.",
  },
  {
    name: "marks",
    of: ["regions.guardEdits", "regions.setPlace", "history.releaseIfChanged"],
    test: (view) =>
      isFunction(view.annotation.history.safeUnfreeze, view.annotation.trackedState.toJSON)
        ? each(view, (region) => isReplaceable(region, "notifyDrawingFinished") && isFunction(region.setProperty))
        : false,
    needs: "A keypoint counts as placed by you also where the hand tool has only been dragged over it.",
  },
  {
    name: "hand",
    of: ["tools.takeHand"],
    test: ({image}) => {
      const manager = image.getToolsManager();
      return isFunction(manager.selectTool, manager.findSelectedTool) && Array.isArray(manager.allTools());
    },
    needs: "Space and drag does not move the photo, but what is under the mouse.",
  },
  {
    name: "labels",
    of: ["regions.keypointLabels"],
    test: ({annotation}) => Array.isArray([...annotation.names.values()]),
    needs: "Labels that are no joints are named only once they have been used.",
  },
  {
    name: "drafts",
    of: ["saving.isDraftOnTheWay", "saving.saveDraftAnew", "saving.followDrafts", "saving.sendDraft", "saving.hasDraft"],
    test: ({annotation}) =>
      isFunction(annotation.setDraftSaving, annotation.saveDraft) &&
      isFunction(window.Htx.events.invokeFirst) && isReplaceable(window.Htx.events, "invokeFirst"),
    needs: "A draft that could not be saved, since Label Studio was away, is not saved again by itself.",
  },
  {
    name: "leaving",
    of: ["saving.saveDraftAtOnce"],
    test: ({annotation}) => isFunction(annotation.saveDraftImmediately),
    needs: "What you did in the last five seconds is lost where the page is closed or loaded anew.",
  },
  {
    name: "bars",
    of: ["layout.bottomBar", "layout.header", "layout.gapsIn", "layout.watch"],
    test: () => layout.bottomBar() !== null || layout.header() !== null,
    needs: "The chip finds no bar of Label Studio's to lie in, and is a dot at the edge.",
  },
  {
    name: "history",
    of: ["history.holdHistory", "history.releaseHistory", "history.latestStep", "history.isLatestStep"],
    test: ({annotation: {history}}) =>
      isFunction(history.freeze, history.unfreeze, history.setReplaceNextUndoState) &&
      isNumber(history.undoIdx) && Array.isArray(history.history),
    needs: `${NOT_REFINED}, and the keys change nothing: it could not be undone in one step.`,
  },
  {
    name: "batches",
    of: ["history.asOneStep", "actions.runAsAction"],
    test: ({annotation}) => isFunction(annotation.traverseTree),
    needs: "Applying an answer takes longer in a crowd.",
  },
  {
    name: "regions",
    of: ["regions.isKeypoint", "regions.isBox"],
    test: ({annotation}) =>
      Array.isArray(annotation.regions) && annotation.regions.every(isRecognized) &&
      (annotation.regions.length ? true : undefined),
    needs: "No bones are drawn and nothing is refined: keypoints and boxes are not recognized.",
  },
  {
    name: "selection",
    of: ["regions.selected"],
    test: ({annotation}) => Array.isArray(annotation.selectedRegions),
    needs: "Keys mean what is under the mouse only, not what is selected.",
  },
  {
    name: "persons",
    of: ["regions.parentId"],
    test: (view) => each(view, (r) => "parentID" in r && (r.parentID === null || typeof r.parentID === "string")),
    needs: "No bones are drawn and nothing is refined: which keypoints are one person is not known.",
  },
  {
    name: "places",
    of: ["regions.place", "regions.pointOf"],
    test: ({keypoint, box}) =>
      (keypoint || box) &&
      (!keypoint || isNumber(keypoint.x, keypoint.y)) &&
      (!box || isNumber(box.x, box.y, box.width, box.height, box.rotation)),
    needs: `${NOT_REFINED}: where keypoints and boxes lie is not known.`,
  },
  {
    name: "stage",
    of: ["regions.stagePoint", "regions.stagePointer", "regions.stageCorners", "regions.clientPoint"],
    test: ({stage, image, keypoint}) => {
      const transform = stage.getAbsoluteTransform();
      const back = transform.copy().invert().point(transform.point({x: 10, y: 20}));
      if (!near(back.x, 10) || !near(back.y, 20) || !isNumber(stage.width(), stage.height())) return false;
      if (!near(image.canvasToInternalX(image.internalToCanvasX(30)), 30)) return false;
      if (!near(image.canvasToInternalY(image.internalToCanvasY(30)), 30)) return false;
      return keypoint && (isNumber(keypoint.canvasWidth) && isOnCanvas(image, keypoint));
    },
    needs: "No bones are drawn and keys find nothing under the mouse: places on the screen are not known.",
  },
  {
    name: "comparing",
    of: ["page.views"],
    test: () => isBoolean(window.Htx.annotationStore.viewingAll),
    needs: "No bones are drawn where annotations are compared beside each other.",
  },
  {
    name: "states",
    of: ["changes.stateOf"],
    test: (view) => each(view, ({$treenode}) => typeof $treenode?.snapshot === "object"),
    needs: "Drawing takes longer in a crowd.",
  },
  {
    name: "painting",
    of: ["changes.watch", "changes.watchPage"],
    test: ({stage}) => isFunction(stage.on, stage.off) && stage.getLayers().every(({on, off}) => isFunction(on, off)),
    needs: "Bones follow a second late: when the photo has been painted is not told.",
  },
  {
    name: "shapes",
    of: ["shapes.dress", "shapes.catchOnly"],
    test: ({keypoint}) => {
      const shape = keypoint?.shapeRef; // there a moment after the keypoint
      if (!shape) return undefined;
      if (typeof shape.attrs !== "object") return false;
      return isFunction(shape.opacity, shape.visible, shape.listening, shape.radius, shape.hitStrokeWidth, shape.getLayer);
    },
    needs: "Points are as large as Label Studio draws them, and of joints upon each other the topmost is caught.",
  },
  {
    name: "previewing",
    of: ["shapes.dragged", "shapes.showAt", "shapes.isDisplaced", "shapes.showAsTheyAre"],
    test: ({keypoint, box}) => {
      const shape = keypoint?.shapeRef;
      if (!shape) return undefined;
      const hasNumbers = isNumber(shape.x(), shape.y()) && isFunction(shape.position, shape.isDragging);
      return hasNumbers && (!box?.shapeRef || isFunction(box.shapeRef.size, box.shapeRef.rotation));
    },
    needs: "The rest of a person follows when the mouse is released, not while it moves.",
  },
  {
    name: "gathering",
    of: ["layers.gather", "layers.spread", "layers.end"],
    test: ({keypoint}) => {
      if (!keypoint?.shapeRef) return undefined;
      const layer = keypoint.shapeRef.getLayer();
      if (!layer) return undefined;
      return isFunction(layer.getNativeCanvasElement, layer.getStage, layer.on, layer.off) && Boolean(layer.getStage().getLayers);
    },
    needs: "With many people on a photo the rest of a person follows later.",
  },
  {
    name: "origin",
    of: ["regions.isTouched", "regions.facts"],
    test: (view) => each(view, (region) => ORIGINS.includes(region.origin)),
    needs: `${NOT_REFINED}: what you have placed is not known, and it must stay.`,
  },
  {
    name: "moving",
    of: ["regions.moveTo"],
    test: (view) =>
      isFunction(view.image.internalToCanvasX, view.image.internalToCanvasY)
        ? each(view, (region) => isFunction(region.setPosition) && region.object === view.image)
        : false,
    needs: `${NOT_REFINED}: keypoints and boxes cannot be moved by a program.`,
  },
  {
    name: "items",
    of: ["regions.serialize", "regions.hasRelations"],
    test: (view) =>
      isFunction(view.annotation.serializeAnnotation) && isNumber(view.annotation.relationStore.size)
        ? each(view, ({results}) => isFunction(...results.map((result) => result.serialize)))
        : false,
    needs: `${NOT_REFINED}: the annotation cannot be read as a whole.`,
  },
  {
    name: "extent",
    of: ["regions.span", "regions.center"],
    test: (view) =>
      each(view, ({bboxCoords: {left, top, right, bottom}, object}) =>
        isNumber(left, top, right, bottom, object.naturalWidth, object.naturalHeight),
      ),
    needs: `${NOT_REFINED}: how large keypoints and boxes are is not known.`,
  },
  {
    name: "order",
    of: ["regions.letThrough"],
    test: ({keypoint, box}) =>
      keypoint?.shapeRef && box?.shapeRef
        ? isFunction(box.shapeRef.getAbsoluteZIndex, box.shapeRef.hitFunc, box.shapeRef.hitStrokeWidth)
        : undefined,
    needs: "Where Label Studio draws boxes above keypoints, the box is taken in place of the keypoint.",
  },
  {
    name: "locks",
    of: ["regions.isLocked"],
    test: (view) => each(view, (region) => isFunction(region.isReadOnly)),
    needs: `${NOT_REFINED}: what is locked is not known.`,
  },
  {
    name: "adding",
    of: ["regions.addItems", "regions.sendBoxesToBack"],
    test: ({annotation}) =>
      isFunction(annotation.deserializeResults, annotation.deleteArea, annotation.serializeAnnotation),
    needs: "A box that you draw gets no keypoints.",
  },
  {
    name: "joining",
    of: ["regions.setParent"],
    test: (view) => each(view, (region) => isFunction(region.setParentID)),
    needs: "A keypoint that you place stands alone in the outliner.",
  },
  {
    name: "scores",
    of: ["regions.score", "regions.setScore"],
    test: (view) => each(view, hasScore),
    needs: "Scores stay as they were before the refinement.",
  },
  {
    name: "list",
    of: ["regions.showScore"],
    test: (view) =>
      each(view, (r) => isFunction(r.setProperty) && Array.isArray(r.editableFields) && "score" in r),
    needs: "The list of regions shows the scores from before the refinement.",
  },
  {
    name: "choices",
    of: ["regions.isOccluded"],
    test: ({keypoint}) => keypoint && Array.isArray(keypoint.results) && Array.isArray(keypoint.perRegionTags),
    needs: "Occluded keypoints are not told from visible ones.",
  },
  {
    name: "choosing",
    of: ["regions.occludedChoice", "regions.toggleOccluded"],
    test: ({keypoint}) => keypoint && isFunction(keypoint.addResult, keypoint.removeResult),
    needs: "Visible and occluded cannot be exchanged by a key.",
  },
  {
    name: "accepting",
    of: ["regions.accept"],
    test: (view) => each(view, (region) => isFunction(region.updateOriginOnEdit)),
    needs: "Persons cannot be accepted by a key.",
  },
  {
    name: "hiding",
    of: ["regions.isShown", "regions.setShown", "regions.setLocked", "regions.looksOf", "regions.restoreLooks"],
    test: (view) =>
      each(view, ({hidden, locked, inSelection, toggleHidden, setLocked}) =>
        isBoolean(hidden, locked, inSelection) && isFunction(toggleHidden, setLocked)),
    needs: "Persons cannot be hidden, locked or shown alone by a key.",
  },
  {
    name: "deleting",
    of: ["regions.destroy", "regions.remove", "regions.isThere"],
    test: (view) =>
      isFunction(view.annotation.deleteArea) ? each(view, (region) => isFunction(region.deleteRegion)) : false,
    needs: "Persons cannot be deleted by a key.",
  },
  {
    name: "following",
    of: ["region_actions.watch", "history.asNoStep", "history.releaseWithoutStep"],
    test: ({annotation}) =>
      isFunction(annotation.$treenode.addMiddleWare, annotation.history.safeUnfreeze, annotation.undo, annotation.redo),
    needs: "Who deletes, hides or locks a box in the outliner does so with the box alone, not with the person.",
  },
  {
    name: "selecting",
    of: ["regions.select"],
    test: ({annotation}) => isFunction(annotation.selectAreas, annotation.extendSelectionWith),
    needs: "No key goes to the next doubtful joint or the next problem.",
  },
  {
    name: "zooming",
    of: ["viewport.bringIntoView"],
    test: ({image}) =>
      isFunction(image.setZoom, image.setZoomPosition, image.updateImageAfterZoom) &&
      isNumber(image.zoomScale, image.currentZoom, image.zoomingPositionX, image.zoomingPositionY) &&
      isNumber(image.canvasSize.width, image.canvasSize.height),
    needs: "No key goes to the next doubtful joint or the next problem.",
  },
  {
    name: "fitting",
    of: ["viewport.fitOnce"],
    test: ({image}) => isFunction(image.sizeToFit) && isNumber(image.zoomScale, image.currentZoom),
    needs: "A photo may open with its edges out of view.",
  },
  {
    name: "relabelling",
    of: ["regions.labelsBeside", "regions.relabel"],
    test: ({keypoint}) =>
      keypoint?.labeling ? isFunction(keypoint.labeling.setValue) && Boolean(keypoint.labeling.from_name.children) : undefined,
    needs: "Left and right are exchanged only where both joints are there.",
  },
  {
    name: "pixels",
    of: ["regions.pixelsOf"],
    test: ({image}) => isNumber(image.naturalWidth, image.naturalHeight),
    needs: "Left and right that look exchanged are not told of.",
  },
  {
    name: "hotkeys",
    of: ["hotkeys.isTaken"],
    test: ({annotation}) => isFunction(annotation.names.values),
    needs: "A key that the configuration gives to a label does both.",
  },
];

function isRecognized(region) {
  const labels = region.results.map(({type}) => KINDS[type]).find(Boolean);
  return typeof region.cleanId === "string" && typeof region.type === "string" && (!labels || labels === region.type);
}

/** A region without a label, which an annotator may draw, has no score either. */
const hasScore = ({labeling, results}) =>
  labeling ? isFunction(labeling.setMetaValue) && "score" in labeling : !results.some(({type}) => KINDS[type]);

const isOnCanvas = (image, {x, y, canvasX, canvasY}) =>
  near(canvasX, image.internalToCanvasX(x)) && near(canvasY, image.internalToCanvasY(y));

let probed = {annotation: null, keypoint: false, box: false}; // what the answers are about, and what they were tried on
let answers = new Map(); // name of a probe -> what it answered; absent while there was nothing to try it on
let listener = () => {};

/** Ask all probes about a view: once for each annotation, and again when its first keypoint or its first box is there. */
export function lookAt(view) {
  const isNew = view.annotation !== probed.annotation;
  if (!isNew && probed.keypoint && probed.box) return;
  const subjects = withFirst(view);
  const [keypoint, box] = [Boolean(subjects.keypoint), Boolean(subjects.box)];
  if (!isNew && keypoint === probed.keypoint && box === probed.box) return;
  if (isNew) answers = new Map();
  probed = {annotation: view.annotation, keypoint: keypoint || (!isNew && probed.keypoint), box: box || (!isNew && probed.box)};
  const failed = missing().length;
  for (const probe of PROBES) {
    const answer = answers.get(probe.name) === false ? false : ask(probe, subjects);
    if (answer !== undefined) answers.set(probe.name, answer);
  }
  if (isNew || missing().length !== failed) listener(missing());
}

function withFirst(view) {
  const regions = Array.isArray(view.annotation.regions) ? view.annotation.regions : [];
  const first = (type) => regions.find((region) => region.type === type);
  return {...view, keypoint: first("keypointregion"), box: first("rectangleregion")};
}

function ask({test}, subjects) {
  try {
    const answer = test(subjects);
    return answer === undefined ? undefined : Boolean(answer);
  } catch {
    return false;
  }
}

/** Whether the page has all that is named; what could not be tried yet counts as there. */
export function can(...names) {
  return names.every((name) => answers.get(name) !== false);
}

/** The probes that failed on the annotation on the page. */
export const missing = () => PROBES.filter(({name}) => !can(name));

/** Call `tell(missing)` whenever another annotation has been looked at, or another probe has failed. */
export function onLook(tell) {
  listener = tell;
}

/** What all probes say of a view now, for tests and the curious; null where there is nothing to try one on. */
export function report(view) {
  const subjects = withFirst(view);
  return Object.fromEntries(PROBES.map((probe) => [probe.name, ask(probe, subjects) ?? null]));
}

/** Make of `work` what lets no exception out to the page, should something be other than the probes have seen. */
export function safely(work) {
  return (...given) => {
    try {
      const result = work(...given);
      return result instanceof Promise ? result.catch(record) : result;
    } catch (error) {
      return record(error);
    }
  };
}

function record(error) {
  diagnostics.faults.push(String(error.stack ?? error));
  if (diagnostics.faults.length === 1) console.warn("Click-Pose stumbled; Label Studio goes on.", error);
}
