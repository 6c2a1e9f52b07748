/** Five typical corrections as pictures: what one sees and does, and what it looks like afterwards. */
import * as sketch from "./sketch.js";

export const WIDTH = 230; // px of one picture
export const HEIGHT = 250;
const SCALE = 1.08;
const [LEFT, TOP] = [(WIDTH - 100 * SCALE) / 2, 20];
const at = (pose, x = LEFT, y = TOP, scale = SCALE) => sketch.placed(pose, x, y, scale);

const RAISED = {...sketch.STANDING, left_elbow: [86, 42], left_wrist: [93, 12]};
const WRONG_ARM = {...RAISED, left_elbow: [80, 72], left_wrist: [87, 98]};

function draggedBefore(context) {
  sketch.drawPerson(context, at(RAISED), SCALE);
  const pose = at(WRONG_ARM);
  sketch.drawPose(context, pose, SCALE, {states: {left_wrist: {doubt: 0.95}, left_elbow: {doubt: 0.6}}});
  sketch.drawWay(context, pose.left_wrist, at(RAISED).left_wrist);
  sketch.drawPointer(context, ...pose.left_wrist);
}

function draggedAfter(context) {
  sketch.drawPerson(context, at(RAISED), SCALE);
  sketch.drawPose(context, at(RAISED), SCALE, {states: {left_wrist: {placed: true}}});
  sketch.drawPointer(context, ...at(RAISED).left_wrist);
}

const BEHIND = sketch.exchanged(sketch.STANDING); // the left hand is on the left

function behind(pose, all, isBefore) {
  return (context) => {
    sketch.drawPerson(context, at(BEHIND), SCALE, {shirt: "#7a4b52", fromBehind: true});
    const shown = at(pose);
    sketch.drawPose(context, shown, SCALE, {all});
    sketch.nameBeside(context, at(BEHIND).left_wrist, isBefore ? "right wrist" : "left wrist", "right");
    sketch.nameBeside(context, at(BEHIND).right_wrist, isBefore ? "left wrist" : "right wrist", "left");
    sketch.drawPointer(context, WIDTH / 2, TOP + 82 * SCALE);
  };
}

function missing(isBefore) {
  return (context) => {
    const whole = at(sketch.STANDING);
    sketch.drawPerson(context, whole, SCALE, {shirt: "#5b6b4a"});
    const {right_ankle: ankle, ...rest} = whole;
    sketch.drawPose(context, isBefore ? rest : whole, SCALE, {states: {right_ankle: {placed: true}}});
    sketch.drawPointer(context, ...ankle);
  };
}

function occluded(isBefore) {
  return (context) => {
    const pose = at(sketch.STANDING);
    sketch.drawPerson(context, pose, SCALE, {shirt: "#3d5a80"});
    context.fillStyle = "#a5793f";
    context.fillRect(WIDTH / 2 - 1, TOP + 128 * SCALE, WIDTH / 2 - 14, 88);
    context.fillStyle = "#c39455";
    context.fillRect(WIDTH / 2 - 7, TOP + 122 * SCALE, WIDTH / 2 - 2, 9);
    const hidden = {left_knee: {hidden: !isBefore}, left_ankle: {hidden: true}};
    sketch.drawPose(context, pose, SCALE, {states: hidden});
    sketch.drawPointer(context, ...pose.left_knee);
  };
}

const SMALL = 0.92;
const [HERE, THERE] = [at(sketch.STANDING, 8, 34, SMALL), at(RAISED, 118, 30, SMALL)];

function addedBefore(context) {
  const shirt = {shirt: "#8a6d3b"};
  sketch.drawPerson(context, THERE, SMALL, shirt);
  drawCoat(context);
  sketch.drawFrame(context, HERE, 8, {tint: sketch.OTHER_TINT});
  sketch.drawPose(context, HERE, SMALL, {tint: sketch.OTHER_TINT, all: {doubt: 0.8}});
  const corner = sketch.drawFrame(context, THERE, 8, {marked: true});
  sketch.drawPointer(context, corner.x, corner.y);
}

function addedAfter(context) {
  sketch.drawPerson(context, THERE, SMALL, {shirt: "#8a6d3b"});
  drawCoat(context);
  sketch.drawFrame(context, THERE, 8);
  sketch.drawPose(context, THERE, SMALL, {states: {}});
}

/** A coat on a stand, which was taken for somebody. */
function drawCoat(context) {
  Object.assign(context, {fillStyle: "#3b3f2f", strokeStyle: "#2b2119", lineWidth: 4});
  context.beginPath();
  context.moveTo(54, 38);
  context.lineTo(54, 226);
  context.moveTo(36, 228);
  context.lineTo(72, 228);
  context.stroke();
  context.beginPath();
  for (const [x, y] of [[54, 62], [76, 78], [88, 150], [76, 206], [34, 206], [20, 150], [32, 78]]) context.lineTo(x, y);
  context.fill();
}

/** Each: title, what one does, its keys as bindings.js writes them, and the two pictures. */
export const corrections = [
  {
    name: "drag",
    title: "A joint is wrong",
    does: "Drag it into place. The joints that were wrong with it follow; what you have placed stays.",
    before: draggedBefore,
    after: draggedAfter,
  },
  {
    name: "exchange",
    title: "Left and right are exchanged",
    does: "Somebody seen from behind: their left hand is on the left. One key over the person exchanges both sides.",
    action: "exchangePerson",
    before: behind(sketch.STANDING, {}, true),
    after: behind(BEHIND, {placed: true}, false),
  },
  {
    name: "missing",
    title: "A joint is missing",
    does: "Choose its label, then Ctrl+click its place inside the person's box. The joint is the person's from then on.",
    before: missing(true),
    after: missing(false),
  },
  {
    name: "occluded",
    title: "A joint is hidden behind something",
    does: "Put it where it must be, and mark it as occluded: with the mouse on it, one key.",
    action: "toggleVisibility",
    before: occluded(true),
    after: occluded(false),
  },
  {
    name: "person",
    title: "A person is missing, or is none",
    does: "Draw an empty person box around somebody. Remove a person with one key, box and joints.",
    action: "deletePerson",
    before: addedBefore,
    after: addedAfter,
  },
];

/** Draw one picture of a correction on a canvas of WIDTH x HEIGHT. */
export function drawPicture(context, picture) {
  context.lineJoin = "round";
  sketch.drawRoom(context, WIDTH, HEIGHT);
  picture(context);
}
