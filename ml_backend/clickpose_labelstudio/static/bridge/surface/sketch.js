/** Sketched photographs of people, and poses on them with the signs that the overlay draws with. */
import {drawBone, drawBox, drawName, drawPoint} from "../drawing/signs.js";

export const TINT = "#7ce8a4";
export const OTHER_TINT = "#c9a2ff";
const SKIN = "#d9a07e";
const HAIR = "#4b3527";
const BONES = [
  "left_ankle left_knee", "left_knee left_hip", "right_ankle right_knee", "right_knee right_hip", "left_hip right_hip",
  "left_shoulder left_hip", "right_shoulder right_hip", "left_shoulder right_shoulder", "left_shoulder left_elbow",
  "right_shoulder right_elbow", "left_elbow left_wrist", "right_elbow right_wrist", "nose left_eye", "nose right_eye",
  "left_eye left_ear", "right_eye right_ear", "left_ear left_shoulder", "right_ear right_shoulder",
].map((ends) => ends.split(" "));
const FACE = /nose|eye|ear/;
export const sideOf = (joint) => joint.match(/^(left|right)_/)?.[1] ?? "middle";

/** Somebody who stands and looks at the camera: joint -> [x, y], 100 units wide and 200 high. */
export const STANDING = {
  nose: [50, 23], left_eye: [54.5, 18.5], right_eye: [45.5, 18.5], left_ear: [61, 21], right_ear: [39, 21],
  left_shoulder: [67, 48], right_shoulder: [33, 48], left_elbow: [78, 76], right_elbow: [22, 76],
  left_wrist: [82, 104], right_wrist: [18, 104], left_hip: [61, 106], right_hip: [39, 106],
  left_knee: [63, 146], right_knee: [37, 146], left_ankle: [64, 186], right_ankle: [36, 186],
};

/** The same pose with the names of both sides exchanged. */
export function exchanged(pose) {
  const other = (joint) => joint.replace(/^(left|right)/, (side) => (side === "left" ? "right" : "left"));
  return Object.fromEntries(Object.entries(pose).map(([joint, at]) => [other(joint), at]));
}

/** Where a pose lies in the picture: moved by (x, y) px and scaled. */
export const placed = (pose, x, y, scale) =>
  Object.fromEntries(Object.entries(pose).map(([joint, [px, py]]) => [joint, [x + px * scale, y + py * scale]]));

/** Wall and floor. */
export function drawRoom(context, width, height) {
  context.fillStyle = "#8f9bab";
  context.fillRect(0, 0, width, height);
  context.fillStyle = "#6f6a66";
  context.fillRect(0, height * 0.83, width, height);
}

/** A person as a photo shows one; `fromBehind`: hair where the face would be. */
export function drawPerson(context, pose, scale, {shirt = "#3d5a80", trousers = "#2f3440", fromBehind = false} = {}) {
  const limb = (joints, width, color) => {
    context.beginPath();
    joints.forEach((joint, i) => context[i ? "lineTo" : "moveTo"](...pose[joint]));
    Object.assign(context, {lineWidth: width * scale, strokeStyle: color, lineCap: "round", lineJoin: "round"});
    context.stroke();
  };
  for (const side of ["left", "right"]) limb([`${side}_hip`, `${side}_knee`, `${side}_ankle`], 17, trousers);
  const middle = {top: mid(pose.left_shoulder, pose.right_shoulder), head: mid(pose.left_ear, pose.right_ear)};
  const necked = {...pose, ...middle};
  context.fillStyle = shirt;
  outline(context, ["left_shoulder", "right_shoulder", "right_hip", "left_hip"].map((joint) => pose[joint]));
  Object.assign(context, {lineWidth: 17 * scale, strokeStyle: shirt, lineJoin: "round"});
  context.fill();
  context.stroke();
  for (const side of ["left", "right"]) {
    limb([`${side}_elbow`, `${side}_wrist`], 10, SKIN);
    limb([`${side}_shoulder`, `${side}_elbow`], 13, shirt);
  }
  disc(context, ...pose.left_wrist, 6.5 * scale, SKIN);
  disc(context, ...pose.right_wrist, 6.5 * scale, SKIN);
  Object.assign(context, {lineWidth: 10 * scale, strokeStyle: SKIN});
  outline(context, [necked.top, necked.head]);
  context.stroke();
  disc(context, middle.head[0], middle.head[1] - 4 * scale, 15.5 * scale, HAIR);
  if (!fromBehind) disc(context, middle.head[0], middle.head[1], 12.5 * scale, SKIN);
}

/**
 * A pose with its signs.
 *
 * @param states joint -> what drawPoint takes besides, such as {doubt: .9}; joints that are not in `pose` are left out.
 * @param all the same for every joint.
 */
export function drawPose(context, pose, scale, {states = {}, all = {}, tint = TINT} = {}) {
  const points = Object.entries(pose).map(([joint, [x, y]]) => {
    const radius = (FACE.test(joint) ? 2.6 : 4.4) * Math.sqrt(scale);
    return [joint, {x, y, radius, side: sideOf(joint), doubt: 0, ...all, ...states[joint]}];
  });
  const at = new Map(points);
  for (const [a, b] of BONES) {
    const [from, to] = [at.get(a), at.get(b)];
    if (!from || !to) continue;
    const doubt = Math.max(from.placed ? 0 : from.doubt, to.placed ? 0 : to.doubt);
    const width = (FACE.test(a) || FACE.test(b) ? 2 : 3) * scale ** 0.5;
    drawBone(context, {from, to, width, tint, doubt, hidden: from.hidden || to.hidden});
  }
  points.forEach(([, point]) => drawPoint(context, point));
}

/** The box around a pose, `marked` as one that is being drawn. */
export function drawFrame(context, pose, margin, {tint = TINT, marked = false} = {}) {
  const [xs, ys] = [0, 1].map((i) => Object.values(pose).map((at) => at[i]));
  const [left, right] = [Math.min(...xs) - margin, Math.max(...xs) + margin];
  const [top, bottom] = [Math.min(...ys) - margin, Math.max(...ys) + margin];
  const corners = [[left, top], [right, top], [right, bottom], [left, bottom]].map(([x, y]) => ({x, y}));
  drawBox(context, {corners, tint, marked});
  return corners[2];
}

/** The mouse at a place. */
export function drawPointer(context, x, y) {
  const shape = [[0, 0], [0, 17], [4, 13.4], [6.9, 19.6], [9.6, 18.4], [6.8, 12.4], [12, 12]];
  outline(context, shape.map(([dx, dy]) => [x + dx, y + dy]));
  Object.assign(context, {fillStyle: "#fff", strokeStyle: "#000", lineWidth: 1.3, lineJoin: "round"});
  context.fill();
  context.stroke();
}

/** The way of a drag, from the old place to the new one. */
export function drawWay(context, [x0, y0], [x1, y1]) {
  const angle = Math.atan2(y1 - y0, x1 - x0);
  const [ex, ey] = [x1 - 8 * Math.cos(angle), y1 - 8 * Math.sin(angle)];
  for (const [style, width] of [["#000a", 4], ["#fff", 2]]) {
    Object.assign(context, {strokeStyle: style, lineWidth: width, lineCap: "round"});
    context.setLineDash([5, 5]);
    line(context, [[x0 + 8 * Math.cos(angle), y0 + 8 * Math.sin(angle)], [ex, ey]]);
    context.setLineDash([]);
    const barb = (by) => [ex - 8 * Math.cos(angle + by), ey - 8 * Math.sin(angle + by)];
    line(context, [barb(0.5), [ex, ey], barb(-0.5)]);
  }
}

export function nameBeside(context, [x, y], text, align) {
  drawName(context, {text, x: x + (align === "left" ? 9 : -9), y, align});
}

function line(context, points) {
  context.beginPath();
  points.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](x, y));
  context.stroke();
}

function outline(context, points) {
  context.beginPath();
  points.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](x, y));
  context.closePath();
}

function disc(context, x, y, radius, style) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = style;
  context.fill();
}

const mid = ([ax, ay], [bx, by]) => [(ax + bx) / 2, (ay + by) / 2];
