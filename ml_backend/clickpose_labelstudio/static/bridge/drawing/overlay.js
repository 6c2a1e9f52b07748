/** Draws the poses on canvases of its own above Label Studio's, which take no mouse events. */
import {diagnostics} from "../config.js";
import * as display from "./display.js";
import {drawBone, drawBox, drawName, drawPoint} from "./signs.js";
import * as lsProbes from "../label_studio/probes.js";
import * as lsShapes from "../label_studio/shapes.js";
import {sceneOf} from "./scene.js";

const canvases = new Map(); // stage -> its canvas, what is drawn on it, and a drawing of all but the front person

/** Whether this Label Studio has all that drawing needs. */
export const isPossible = () => lsProbes.can("regions", "persons", "stage");

/** Draw on the stage of a view what has changed since the last time. */
export function draw(view) {
  const {stage} = view;
  const size = {width: stage.width(), height: stage.height(), ratio: window.devicePixelRatio || 1};
  const scene = sceneOf(view);
  dress(scene, view);
  const sheet = sheetOf(stage);
  const isFront = ({id}) => id !== "" && id === display.get("hovered");
  const [front, others] = [scene.filter(isFront), scene.filter((person) => !isFront(person))];
  const hasChanged = [redraw(sheet.others, others, size), isNews(sheet, printOf(front, size))].some(Boolean);
  if (!hasChanged) return;
  const context = prepare(sheet.canvas, size);
  context.drawImage(sheet.others.canvas, 0, 0, size.width, size.height);
  front.forEach((person) => drawPerson(context, person, size));
  diagnostics.redraws += 1;
  diagnostics.bones = scene.reduce((count, {bones}) => count + bones.length, 0);
}

/** Draw persons on a sheet if they look different now; true where they do. Few persons move, and lines take long to draw. */
function redraw(sheet, scene, size) {
  if (!isNews(sheet, printOf(scene, size))) return false;
  const context = prepare(sheet.canvas, size);
  scene.forEach((person) => drawPerson(context, person, size));
  return true;
}

/** Whether a print differs from that of a sheet, which is its print then. */
function isNews(sheet, print) {
  if (print.length === sheet.print.length && print.every((mark, i) => mark === sheet.print[i])) return false;
  sheet.print = print;
  return true;
}

function drawPerson(context, {id, tint, opacity, points, bones, box}, {width}) {
  if (box) drawBox(context, {...box, tint, opacity});
  bones.forEach((bone) => drawBone(context, {...bone, tint}));
  points.forEach((point) => drawPoint(context, point));
  const isNamed = display.get("names") && id && opacity === 1;
  if (isNamed) namesOf(points, width).forEach((name) => drawName(context, name));
}

const LINE_PX = 12;

/** Names beside their joints, on the side where their person is not and the photo is, as far as there is room for them. */
function namesOf(points, width) {
  const middle = points.reduce((sum, {x}) => sum + x, 0) / points.length;
  const taken = [];
  return points.flatMap(({joint, x, y, radius, opacity}) => {
    const text = joint.replaceAll("_", " ");
    const needs = radius + 6 + 6.2 * text.length;
    const isRight = x < needs || (x >= middle && x + needs <= width);
    const [left, right] = isRight ? [x, x + needs] : [x - needs, x];
    const isFree = taken.every((other) => Math.abs(other.y - y) >= LINE_PX || other.left > right || other.right < left);
    if (!isFree) return [];
    taken.push({left, right, y});
    return [{text, x: x + (isRight ? 1 : -1) * (radius + 6), y, align: isRight ? "left" : "right", opacity}];
  });
}

/** Have Konva's own circles be of the size that is drawn, and fade and go as asked. */
function dress(scene, {image}) {
  if (!lsProbes.can("shapes")) return;
  const zoom = image.zoomScale || 1;
  for (const person of scene) {
    for (const {region, radius, grab, opacity} of person.points) {
      lsShapes.dress(region, {radius: radius / zoom, hitStrokeWidth: 2 * (grab - radius), opacity});
    }
  }
}

/** What a scene looks like, as a row of numbers and texts that can be compared. */
function printOf(scene, {width, height, ratio}) {
  const print = [width, height, ratio, display.get("names")];
  for (const person of scene) {
    print.push(person.id, person.tint, person.opacity, person.bones.length, person.bones[0]?.width);
    for (const point of person.points) {
      const {x, y, radius, doubt, opacity, side, placed, hidden, selected, marked, loose} = point;
      print.push(x, y, radius, doubt, opacity, side, placed + 2 * hidden + 4 * selected + 8 * marked + 16 * Boolean(loose));
    }
    person.box?.corners.forEach(({x, y}) => print.push(x, y, person.box.marked));
  }
  return print;
}

/** The sheet on a stage. */
function sheetOf(stage) {
  let sheet = canvases.get(stage);
  if (sheet?.canvas.parentNode === stage.content) return sheet;
  sheet?.canvas.remove();
  sheet = {...emptySheet(), others: emptySheet()};
  sheet.canvas.className = "clickpose-overlay";
  Object.assign(sheet.canvas.style, {position: "absolute", left: 0, top: 0, pointerEvents: "none"});
  stage.content.append(sheet.canvas);
  canvases.set(stage, sheet);
  return sheet;
}

const emptySheet = () => ({canvas: document.createElement("canvas"), print: []});

function prepare(canvas, {width, height, ratio}) {
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  Object.assign(canvas.style, {width: `${width}px`, height: `${height}px`});
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** Take the drawings away from all stages but these. */
export function keepOnly(stages) {
  for (const [stage, {canvas}] of canvases) {
    if (stages.includes(stage)) continue;
    canvas.remove();
    canvases.delete(stage);
  }
}
