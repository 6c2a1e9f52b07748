/**
 * Poses beside the one that is corrected, each of a form of its own: as it was before (dashed, round), and as somebody
 * labelled it (dotted, diamonds). They are drawn as broad as the pose itself, over a dark edge, so that they are seen on
 * any photo.
 */
const DARK = "rgba(14, 18, 28, 0.85)";
export const BEFORE = "#ffe8c2";
export const TRUTH = "#ffffff";
const ARROW_FROM_PX = 5; // a joint that moved less has no arrow
const TURN = 2 * Math.PI;

/** As it was: dashed, with an arrow from each joint that has moved to where it is now. */
export function drawBefore(context, ghost, now) {
  const {width} = ghost;
  ghost.bones.forEach((ends) => line(context, ends, BEFORE, width * 0.8, [width * 2.2, width * 2]));
  for (const {index, x, y, radius} of ghost.points) {
    ring(context, x, y, radius + 1, BEFORE);
    const to = now?.get(index);
    if (to) arrow(context, {x, y}, to);
  }
}

/** As it is labelled: dotted, with diamonds. */
export function drawTruth(context, ghost) {
  const {width} = ghost;
  ghost.bones.forEach((ends) => line(context, ends, TRUTH, width * 0.8, [0.1, width * 1.9]));
  ghost.points.forEach(({x, y, radius}) => diamond(context, x, y, radius + 2.5, TRUTH));
}

/** The same two for a legend. */
export const ghostSigns = [
  {name: "before", means: "as it was before", draw: legendOf((context, ghost) => drawBefore(context, ghost, null))},
  {name: "truth", means: "as it is labelled (ground truth)", draw: legendOf(drawTruth)},
];

function legendOf(draw) {
  return (context, x, y) => {
    const [from, to] = [{x: x - 13, y, radius: 3, index: 0}, {x: x + 13, y, radius: 3, index: 1}];
    draw(context, {width: 3, bones: [[from, to]], points: [from, to]});
  };
}

function line(context, [from, to], color, width, dash) {
  context.lineCap = "round";
  for (const [style, thickness] of [[DARK, width + 2], [color, width]]) {
    context.setLineDash(dash);
    context.strokeStyle = style;
    context.lineWidth = thickness;
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y);
    context.stroke();
  }
  context.setLineDash([]);
}

function ring(context, x, y, radius, color) {
  for (const [style, thickness] of [[DARK, 4], [color, 2]]) {
    context.strokeStyle = style;
    context.lineWidth = thickness;
    context.beginPath();
    context.arc(x, y, radius, 0, TURN);
    context.stroke();
  }
}

function diamond(context, x, y, half, color) {
  for (const [style, thickness] of [[DARK, 4], [color, 2]]) {
    context.strokeStyle = style;
    context.lineWidth = thickness;
    context.beginPath();
    context.moveTo(x, y - half);
    context.lineTo(x + half, y);
    context.lineTo(x, y + half);
    context.lineTo(x - half, y);
    context.closePath();
    context.stroke();
  }
}

function arrow(context, from, to) {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  if (length < ARROW_FROM_PX) return;
  const [ux, uy] = [(to.x - from.x) / length, (to.y - from.y) / length];
  const tip = {x: to.x - ux * 3, y: to.y - uy * 3};
  const head = Math.min(8, length / 2);
  for (const [style, thickness] of [[DARK, 4.5], [BEFORE, 2]]) {
    context.strokeStyle = style;
    context.lineWidth = thickness;
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(tip.x, tip.y);
    for (const side of [-1, 1]) {
      context.moveTo(tip.x, tip.y);
      context.lineTo(tip.x - head * (ux + side * 0.5 * uy), tip.y - head * (uy - side * 0.5 * ux));
    }
    context.stroke();
  }
}
