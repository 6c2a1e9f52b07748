/**
 * The regions of an annotation: what they are, where they lie, what they carry. Coordinates are percent of the image.
 */
import {replaceAction} from "./actions.js";
import {can} from "./probes.js";
import {isDisplaced} from "./shapes.js";
import {stateOf} from "./changes.js";

const SCORE_KEY = "predicted_oks"; // in the meta of a region: its score since the last refinement
export const cleanId = (id) => String(id ?? "").replace(/#.*/, "");
export const isKeypoint = (region) => region.type === "keypointregion";
export const isBox = (region) => region.type === "rectangleregion";
export const parentId = (region) => cleanId(region.parentID);
export const isTouched = (region) => can("origin") && region.origin !== "prediction";
/** Whether nothing may change the region, though its annotation can be edited. */
export const isLocked = (region) => region.isReadOnly();
const visibilityControl = (region) => region.perRegionTags.find((tag) => tag.type === "choices");

function choiceOf(region) {
  return region.results.find((result) => result.type === "choices");
}

export function isOccluded(region) {
  return can("choices") && Boolean(choiceOf(region)?.mainValue?.some(meansOccluded));
}

function meansOccluded(text) {
  const words = text.replace(/[_\s]+/g, " ").trim();
  return /^(occluded|hidden|invisible|not visible|obscured|covered|v?1)$/i.test(words);
}

/** What keypoints can be labelled as. */
export function keypointLabels(annotation) {
  const controls = [...annotation.names.values()].filter((tag) => tag.type === "keypointlabels");
  return controls.flatMap((control) => control.children.map((label) => label.alias ?? label._value).filter(Boolean));
}

/** Predicted OKS of a region, 0..1; null where nothing has predicted it. */
export function score(region) {
  const labels = region.labeling;
  return labels?.meta?.[SCORE_KEY] ?? labels?.score ?? region.score ?? null;
}

/** Keep a score with the region, where it is saved, and show it in the list of regions. */
export function setScore(region, value) {
  if (typeof value !== "number" || !can("scores")) return;
  if (score(region) !== value) region.labeling?.setMetaValue(SCORE_KEY, value);
  showScore(region, value);
}

/** Show a score in Label Studio's list of regions. */
export function showScore(region, value) {
  if (can("list") && region.score !== value) setProperty(region, "score", value);
}

export const selected = (annotation) => (can("selection") ? annotation.selectedRegions : []);

/** Count a region as checked by a human. */
export const accept = (region) => region.updateOriginOnEdit();

/** Make a keypoint a part of the person that has this box. */
export function setParent(region, box) {
  if (can("joining")) region.setParentID(box.id);
}

/** Make regions of items that are written as Label Studio writes them. */
export function addItems(annotation, items) {
  if (can("adding") && items.length) annotation.deserializeResults(items);
}

/** Set a property that Label Studio's panel of details does not offer; what it offers is a plain list. */
function setProperty(region, property, value) {
  const entry = {property};
  region.editableFields.push(entry);
  try {
    region.setProperty(property, value);
  } finally {
    region.editableFields.splice(region.editableFields.indexOf(entry), 1);
  }
}

/** The items that Label Studio would save of these regions of an annotation, and its relations where all are asked for. */
export function serialize(annotation, regions) {
  if (regions.length === annotation.regions.length) return annotation.serializeAnnotation();
  return regions.flatMap((region) => region.results.map((result) => result.serialize()).filter(Boolean));
}

export const hasRelations = (annotation) => annotation.relationStore.size > 0;

/** The edges of what a region covers, in units that are the same across and down. */
export function span(region) {
  const {left, top, right, bottom} = region.bboxCoords;
  const {naturalWidth: across, naturalHeight: down} = region.object;
  return {left: left * across, top: top * down, right: right * across, bottom: bottom * down};
}

/** The place of a keypoint in the units of {@link span}. */
export const center = (region) => ({x: region.x * region.object.naturalWidth, y: region.y * region.object.naturalHeight});

const read = new WeakMap(); // state of a region -> what has been read of it

/** What is drawn of a keypoint besides its place; read anew only when the region has changed. */
export function facts(region) {
  const state = stateOf(region);
  if (state && read.has(state)) return read.get(state);
  const known = {touched: isTouched(region), occluded: isOccluded(region), score: score(region)};
  if (state) read.set(state, known);
  return known;
}

/** Where a keypoint is shown on the stage's own canvas, px, also while it, or another one of its person, is dragged. */
export function stagePoint(region, transform) {
  const shape = region.shapeRef;
  const live = shape?.isDragging?.() || isDisplaced(region) ? {x: shape.x(), y: shape.y()} : {x: region.canvasX, y: region.canvasY};
  return transform.point(live);
}

/** Client pixels on the stage's own canvas, px; null beside it. */
export function stagePointer({stage}, {x, y}) {
  const box = stage.content.getBoundingClientRect();
  const isOn = x >= box.left && y >= box.top && x <= box.right && y <= box.bottom;
  return isOn ? {x: x - box.left, y: y - box.top} : null;
}

/** The four corners of a box on the stage's own canvas, px, in order. */
export function stageCorners(box, transform) {
  const {object: image, shapeRef: shape} = box;
  const isElsewhere = isDisplaced(box);
  const [left, top] = isElsewhere
    ? [shape.x(), shape.y()]
    : [image.internalToCanvasX(box.x), image.internalToCanvasY(box.y)];
  const [width, height] = isElsewhere
    ? [shape.width(), shape.height()]
    : [image.internalToCanvasX(box.width), image.internalToCanvasY(box.height)];
  const angle = ((isElsewhere ? shape.rotation() : box.rotation ?? 0) * Math.PI) / 180; // about the first corner
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const ends = [[0, 0], [width, 0], [width, height], [0, height]];
  return ends.map(([x, y]) => transform.point({x: left + x * cos - y * sin, y: top + x * sin + y * cos}));
}

/** Numbers of the place of a region, to tell later whether it has moved. */
export function place(region) {
  return isBox(region)
    ? [region.x, region.y, region.width, region.height, region.rotation]
    : [region.x, region.y];
}

/** Client pixels of a keypoint. */
export function clientPoint({stage}, region) {
  const {x, y} = stagePoint(region, stage.getAbsoluteTransform());
  const {left, top} = stage.content.getBoundingClientRect();
  return {x: x + left, y: y + top};
}

/** Delete a region as the annotator would. */
export const destroy = (region) => region.deleteRegion();

/** Take a region away, also one that is just being made. */
export const remove = (annotation, region) => annotation.deleteArea(region);

/** The place of a keypoint in pixels of the photo. */
export function pixelsOf({x, y}, {naturalWidth, naturalHeight}) {
  return {x: (x / 100) * naturalWidth, y: (y / 100) * naturalHeight};
}

/** The place of a keypoint. */
export const pointOf = ({x, y}) => ({x, y});

export function moveTo(region, value) {
  const image = region.object;
  const x = image.internalToCanvasX(value.x);
  const y = image.internalToCanvasY(value.y);
  if (isKeypoint(region)) region.setPosition(x, y);
  else {
    const [width, height] = [image.internalToCanvasX(value.width), image.internalToCanvasY(value.height)];
    region.setPosition(x, y, width, height, value.rotation ?? 0);
  }
}

/** Set numbers of a place as they are, without the rounding of {@link moveTo}. */
export function setPlace(region, numbers) {
  const names = isBox(region) ? ["x", "y", "width", "height", "rotation"] : ["x", "y"];
  names.forEach((name, i) => region[name] === numbers[i] || region.setProperty(name, numbers[i]));
}

const guarded = new WeakSet();

/**
 * Hear of no edit where there was none. Label Studio tells a region at the end of every drag that it has been edited,
 * also of one that it stopped itself, because the hand tool was panning: the region then counts as changed by a human
 * for good. `isEdit(region)` decides; asked once for each region, it is kept.
 */
export function guardEdits(region, isEdit) {
  if (guarded.has(region)) return;
  guarded.add(region);
  replaceAction(region, "notifyDrawingFinished", (original) => (options) => {
    if (options?.destroy || isEdit(region)) original(options);
  });
}

export const isShown = (region) => !region.hidden;

export function setShown(region, shown) {
  if (region.hidden === shown) region.toggleHidden();
}

export function setLocked(region, locked) {
  if (region.locked !== locked) region.setLocked(locked);
}

export const select = (annotation, regions) => annotation.selectAreas(regions);

/** Whether a region, which may have been deleted, is still one of the annotation. */
export const isThere = (annotation, region) => annotation.regions.includes(region);

/** The joints' labels of the control that a keypoint belongs to, as the configuration spells them. */
export function labelsBeside(region) {
  return (can("relabelling") ? region.labeling?.from_name.children ?? [] : []).map((label) => label._value).filter(Boolean);
}

export const relabel = (region, label) => region.labeling.setValue([label]);

/** The choice that says that a keypoint is occluded, as the configuration spells it; none where it has no such choice. */
export function occludedChoice(region) {
  return visibilityControl(region)?.children?.map((choice) => choice.alias ?? choice._value).find(meansOccluded);
}

/** Show or hide the occluded choice of a keypoint; visible is written as no choice at all. */
export function toggleOccluded(region) {
  const control = visibilityControl(region);
  const occluded = occludedChoice(region);
  if (!occluded) return false;
  const present = choiceOf(region);
  if (present && isOccluded(region)) region.removeResult(present);
  else if (present) present.setValue([occluded]);
  else {
    const id = `${control.name}@${region.id}`;
    region.addResult({id, from_name: control, to_name: region.object, type: "choices", value: {choices: [occluded]}});
  }
  if (region.selected) control.updateFromResult?.(isOccluded(region) ? [occluded] : []);
  return true;
}

const BORDER_PX = 8; // how wide the border of a box is to the mouse, where only that is taken
let firstIsOnTop = null; // as Label Studio draws regions since 1.22; before, the last one. Null until it is seen
const opened = new WeakSet(); // shapes of boxes that let the mouse through

/** See which of two regions is drawn above the other. */
function seeOrder({regions}) {
  const shapes = regions.filter((region) => !region.selected && region.shapeRef?.getLayer()).map(({shapeRef}) => shapeRef);
  if (shapes.length > 1) firstIsOnTop = shapes[0].getAbsoluteZIndex() > shapes.at(-1).getAbsoluteZIndex();
}

/**
 * Where Label Studio draws the last region on top, the interior of a box, listed after its keypoints, would catch the
 * mouse for all of them: let it through, so that a box is taken by its border. Changes nothing in the annotation.
 */
export function letThrough({annotation}) {
  if (!can("order") || firstIsOnTop) return;
  if (firstIsOnTop === null) seeOrder(annotation);
  if (firstIsOnTop !== false) return;
  for (const {shapeRef: shape} of annotation.regions.filter(isBox)) {
    if (!shape?.getLayer() || opened.has(shape)) continue;
    opened.add(shape);
    shape.hitStrokeWidth(BORDER_PX);
    shape.hitFunc((context) => {
      context.beginPath();
      context.rect(0, 0, shape.width(), shape.height());
      context.closePath();
      context.strokeShape(shape);
    });
    shape.getLayer().batchDraw();
  }
}

/**
 * Where Label Studio draws the first region on top, the interior of a box catches the mouse: bring boxes that lie
 * before a keypoint behind all of them, by making them anew with the same ids.
 */
export function sendBoxesToBack(annotation) {
  if (!can("adding") || firstIsOnTop === false) return;
  const regions = annotation.regions.filter((region) => isKeypoint(region) || isBox(region));
  const first = regions.findIndex(isBox);
  if (first < 0 || !regions.slice(first).some(isKeypoint)) return;
  const boxes = regions.filter(isBox);
  const items = serialize(annotation, boxes);
  const states = new Map(boxes.map((box) => [box.cleanId, looksOf(box)]));
  boxes.forEach((box) => annotation.deleteArea(box));
  addItems(annotation, items);
  annotation.regions.forEach((region) => restoreLooks(region, states.get(region.cleanId)));
}

/** What Label Studio keeps of a region beside its data: hidden, locked, selected; lost when the region is made anew. */
export const looksOf = ({hidden, locked, inSelection}) => ({hidden, locked, inSelection});

export function restoreLooks(region, state) {
  if (!state) return;
  setShown(region, !state.hidden);
  setLocked(region, state.locked);
  if (state.inSelection && !region.inSelection) region.annotation.extendSelectionWith(region);
}
