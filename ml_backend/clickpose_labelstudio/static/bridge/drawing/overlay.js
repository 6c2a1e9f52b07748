/** Draws bones and rings on a canvas of its own above Label Studio's, which takes no mouse events. */
import {diagnostics} from "../config.js";
import * as lsProbes from "../label_studio/probes.js";
import * as lsRegions from "../label_studio/regions.js";
import {personsOf} from "../pose/persons.js";
import * as skeleton from "../pose/skeleton.js";

const STOPS = [[224, 48, 30], [255, 182, 46], [96, 205, 216], [38, 120, 226]]; // doubtful to sure, for all eyes
const DOUBTFUL = 0.3; // predicted OKS that gets the first colour
const SURE = 0.95; // and the last
const OUTLINE = "rgba(20, 24, 32, 0.55)";
let canvas = null;
let drawn = [];
let isOn = true;

function color(score) {
  const t = Math.min(Math.max((score - DOUBTFUL) / (SURE - DOUBTFUL), 0), 1) * (STOPS.length - 1);
  const i = Math.min(Math.floor(t), STOPS.length - 2);
  return `rgb(${STOPS[i].map((from, c) => Math.round(from + (t - i) * (STOPS[i + 1][c] - from))).join()})`;
}

/** What to draw: bones and rings in canvas pixels, as plain numbers that can be compared. */
function scene({annotation, stage}) {
  const transform = stage.getAbsoluteTransform();
  const bones = [];
  const rings = [];
  if (!isOn) return {bones, rings};
  for (const person of personsOf(annotation).values()) {
    const points = new Map();
    for (const [joint, region] of person.keypoints) {
      if (!region.hidden) points.set(joint, describe(region, transform));
    }
    const width = lineWidth([...points.values()]);
    for (const [a, b] of skeleton.bones) {
      if (points.has(a) && points.has(b)) bones.push([points.get(a), points.get(b), width]);
    }
    rings.push(...[...points.values()].filter((point) => point.touched));
  }
  return {bones, rings};
}

function describe(region, transform) {
  const {x, y} = lsRegions.stagePoint(region, transform);
  const touched = lsRegions.isTouched(region);
  const score = touched ? 1 : (lsRegions.score(region) ?? 0.5);
  return {x, y, radius: Math.max(region.canvasWidth, 2), score, touched, occluded: lsRegions.isOccluded(region)};
}

/** Bones grow with the person on the screen. */
function lineWidth(points) {
  if (!points.length) return 0;
  const xs = points.map((p) => p.x);
  const ys = points.map((p) => p.y);
  const size = Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys));
  return Math.min(Math.max(size * 0.01, 2), 5);
}

function flatten({bones, rings}, ratio, width, height) {
  const flat = [ratio, width, height, bones.length, rings.length];
  const add = (p) => flat.push(p.x, p.y, p.radius, p.score, p.touched ? 1 : 0, p.occluded ? 1 : 0);
  bones.forEach(([a, b, w]) => (add(a), add(b), flat.push(w)));
  rings.forEach(add);
  return flat;
}

/** Whether this Label Studio has all that drawing needs. */
export const isPossible = () => lsProbes.can("regions", "persons", "stage");

/** Draw what has changed since the last frame. */
export function draw(view) {
  const [width, height] = [view.stage.width(), view.stage.height()];
  const ratio = window.devicePixelRatio || 1;
  const isNew = attach(view.stage);
  const next = scene(view);
  const flat = flatten(next, ratio, width, height);
  if (!isNew && flat.length === drawn.length && flat.every((number, i) => number === drawn[i])) return;
  drawn = flat;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  Object.assign(canvas.style, {width: `${width}px`, height: `${height}px`});
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  next.bones.forEach((bone) => drawBone(context, ...bone));
  next.rings.forEach((ring) => drawRing(context, ring));
  diagnostics.redraws += 1;
  diagnostics.bones = next.bones.length;
}

/** Put the canvas on the stage; return whether it was not there. */
function attach(stage) {
  if (canvas?.parentNode === stage.content) return false;
  canvas?.remove();
  canvas = document.createElement("canvas");
  canvas.className = "clickpose-overlay";
  Object.assign(canvas.style, {position: "absolute", left: 0, top: 0, pointerEvents: "none"});
  stage.content.append(canvas);
  return true;
}

function drawBone(context, a, b, width) {
  const length = Math.hypot(b.x - a.x, b.y - a.y);
  const gap = [a.radius + 1, b.radius + 1];
  if (length <= gap[0] + gap[1]) return;
  const along = (distance) => [a.x + ((b.x - a.x) * distance) / length, a.y + ((b.y - a.y) * distance) / length];
  const [from, to] = [along(gap[0]), along(length - gap[1])];
  const gradient = context.createLinearGradient(...from, ...to);
  gradient.addColorStop(0, color(a.score));
  gradient.addColorStop(1, color(b.score));
  context.lineCap = "round";
  context.setLineDash(a.occluded || b.occluded ? [width * 1.2, width * 2.6] : []);
  for (const [style, lineWidth] of [[OUTLINE, width + 2], [gradient, width]]) {
    context.strokeStyle = style;
    context.lineWidth = lineWidth;
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
  }
  context.setLineDash([]);
}

function drawRing(context, {x, y, radius}) {
  for (const [style, lineWidth] of [[OUTLINE, 3.5], ["#fff", 1.75]]) {
    context.strokeStyle = style;
    context.lineWidth = lineWidth;
    context.beginPath();
    context.arc(x, y, radius + 3, 0, 2 * Math.PI);
    context.stroke();
  }
}

/** Take the drawing away. */
export function clear() {
  canvas?.remove();
  canvas = null;
  drawn = [];
}

export const isShown = () => isOn;

export function toggle() {
  isOn = !isOn;
}
