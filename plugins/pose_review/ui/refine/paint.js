/** Paints the photo and what lies over it, on two canvases: the photo stays while people move. */
import {drawBone, drawBox, drawName, drawPoint} from "../../../../ml_backend/clickpose_labelstudio/static/bridge/drawing/signs.js";
import {drawBefore, drawTruth} from "./ghosts.js";
import {ghostOf, sceneOf} from "./scene.js";
import {toScreen} from "./viewport.js";

const CHOSEN = "#00e5ff";

/** Bring a canvas to the size of its element; returns its context, cleared. */
export function prepare(canvas, {width, height, ratio}) {
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** The photo; `picture`: {image, width, height}, whose sides may be those of a smaller copy. */
export function paintPhoto(context, picture, photo, {scale, x, y}) {
  if (!picture) return;
  context.imageSmoothingQuality = scale < 1 ? "high" : "medium";
  context.drawImage(picture.image, x, y, scale * photo.width, scale * photo.height);
}

/**
 * People over the photo.
 *
 * @param more {shown, see sceneOf; before: person as it was, or null; truth: whether labelled people are shown; names;
 *   hovered, see sceneOf; box: one that is being drawn, [x, y, x, y] px of the photo, or null}.
 * @returns the scene, for what is under the mouse.
 */
export function paintPeople(context, session, view, size, {shown, before, truth, names, box}) {
  const {photo} = session;
  const scene = sceneOf(session, view, shown);
  const chosen = scene.find(({isChosen}) => isChosen);
  for (const person of scene) {
    if (before && person === chosen) drawBefore(context, ghostOf(before, photo, view), new Map(person.points.map((p) => [p.index, p])));
    paintPerson(context, person, shown.hovered);
  }
  if (truth) photo.truth.forEach((pose) => drawTruth(context, ghostOf(pose, photo, view)));
  const named = scene.find(({id}) => id === shown.hovered) ?? chosen;
  if (names && chosen) nameAll(context, chosen, photo, size);
  else if (named) nameSome(context, named, photo, shown.hoveredJoint, size);
  if (box) paintBox(context, view, box);
  return scene;
}

function paintPerson(context, {id, points, bones, corners, tint, opacity, isChosen}, hovered) {
  if (isChosen || id === hovered) drawBox(context, {corners, tint: isChosen ? tint : "#ffffff", opacity: isChosen ? 0.8 : 0.6});
  bones.forEach((bone) => drawBone(context, {...bone, tint}));
  context.globalAlpha = opacity;
  points.forEach((point) => drawPoint(context, point));
  context.globalAlpha = 1;
}

const words = (name) => name.replaceAll("_", " ");

function nameAll(context, {points}, photo, {width}) {
  const middle = points.reduce((sum, {x}) => sum + x, 0) / Math.max(points.length, 1);
  const taken = [];
  for (const {index, x, y, radius} of points) {
    const text = words(photo.joints[index]);
    const needs = radius + 8 + 6.2 * text.length;
    const isRight = x < needs || (x >= middle && x + needs <= width);
    const [left, right] = isRight ? [x, x + needs] : [x - needs, x];
    if (taken.some((other) => Math.abs(other.y - y) < 12 && other.left <= right && other.right >= left)) continue;
    taken.push({left, right, y});
    drawName(context, {text, x: x + (isRight ? 1 : -1) * (radius + 8), y, align: isRight ? "left" : "right"});
  }
}

/** The joint under the mouse, and the chosen one. */
function nameSome(context, {points}, photo, hoveredJoint, {width}) {
  for (const {index, x, y, radius, selected} of points) {
    if (!selected && index !== hoveredJoint) continue;
    const text = words(photo.joints[index]);
    const isRight = x + radius + 10 + 6.2 * text.length < width;
    drawName(context, {text, x: x + (isRight ? 1 : -1) * (radius + 9), y, align: isRight ? "left" : "right"});
  }
}

function paintBox(context, view, [left, top, right, bottom]) {
  const [from, to] = [toScreen(view, [left, top]), toScreen(view, [right, bottom])];
  const corners = [from, {x: to.x, y: from.y}, to, {x: from.x, y: to.y}];
  drawBox(context, {corners, tint: CHOSEN, marked: false});
}
