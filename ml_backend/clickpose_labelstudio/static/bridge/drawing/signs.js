/**
 * The signs that poses are drawn with, each with what it means. Every thing that is told has a form besides its colour,
 * for those who see few colours, and no colour tells two things:
 *
 * | what                 | colour                        | form                                  |
 * |----------------------|-------------------------------|---------------------------------------|
 * | side of the body     | filling: blue, amber, white   | name under the mouse, and the label   |
 * | placed by a human    | white                         | whole ring                            |
 * | predicted, doubtful  | red, the more the less sure   | broken ring; red core of the bone     |
 * | hidden               |                               | dark middle; dashed bone              |
 * | nobody's             | white                         | dashed square                         |
 * | who                  | tint of the bones and the box | under the mouse: the others step back |
 */

export const SIDES = {left: "#2e9bff", right: "#ffa600", middle: "#f2f2f2"};
const DOUBT = "#ff2b4a";
const DARK = "rgba(14, 18, 28, 0.78)";
const LIGHT = "#ffffff";
const BEHIND = "rgba(112, 118, 130, 0.62)"; // over the points of those who are not meant
const CHOSEN = "#00e5ff"; // selected in Label Studio
const LEGEND_TINT = "#7ce8a4";
const TURN = 2 * Math.PI;

/**
 * A joint.
 *
 * @param point x, y, radius (px); side; doubt 0..1; placed, hidden, loose, selected, marked; opacity 0..1; isBehind, of a
 *   person who is not the one under the mouse.
 */
export function drawPoint(context, point) {
  const {x, y, radius, side, doubt, placed, hidden, opacity = 1} = point;
  context.globalAlpha = opacity;
  if (point.isBehind && !point.selected && !point.marked) {
    disc(context, x, y, radius + 0.8, BEHIND);
    if (placed) disc(context, x, y, radius * 0.6, LIGHT);
    context.globalAlpha = 1;
    return;
  }
  if (doubt > 0 && !placed) drawDoubt(context, point);
  if (placed) drawPlaced(context, point);
  disc(context, x, y, radius + 1, DARK);
  disc(context, x, y, radius, SIDES[side] ?? SIDES.middle);
  if (hidden) disc(context, x, y, Math.max(radius * 0.62, 1.2), "#10141c");
  if (point.loose) drawLoose(context, point);
  if (point.selected) circle(context, x, y, radius + (placed ? 5.4 : 3), [[DARK, 3.2], [CHOSEN, 1.8]]);
  if (point.marked) circle(context, x, y, radius + 6.5, [[DARK, 4.5], [LIGHT, 2.5]]);
  context.globalAlpha = 1;
}

function drawLoose(context, {x, y, radius}) {
  const half = radius + 5;
  context.setLineDash([4, 3]);
  for (const [style, width] of [[DARK, 3.4], [LIGHT, 1.7]]) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.strokeRect(x - half, y - half, 2 * half, 2 * half);
  }
  context.setLineDash([]);
}

/** Rings are small in small persons, lest a crowd is nothing but rings. */
const scaleOf = (radius) => Math.min(Math.max(radius / 5, 0.4), 1);

function drawPlaced(context, {x, y, radius}) {
  const width = 1 + 0.7 * scaleOf(radius);
  circle(context, x, y, radius + 1 + 1.2 * scaleOf(radius), [[DARK, width + 1.6], [LIGHT, width]]);
}

/** A broken ring, thicker and stronger the less sure the joint is. */
function drawDoubt(context, {x, y, radius, doubt, opacity = 1}) {
  const scale = scaleOf(radius);
  const width = 0.4 + (1 + 1.7 * doubt) * scale;
  const away = radius + 1 + scale + width / 2;
  context.globalAlpha = opacity * Math.min(0.35 + doubt, 1);
  context.lineCap = "butt";
  for (const [style, thickness] of [[DARK, width + 0.4 + 1.2 * scale], [DOUBT, width]]) {
    for (let quarter = 0; quarter < 4; quarter++) {
      const middle = ((quarter + 0.5) * TURN) / 4;
      const half = thickness === width ? 0.5 : 0.5 + 0.8 / away;
      context.beginPath();
      context.arc(x, y, away, middle - half, middle + half);
      context.strokeStyle = style;
      context.lineWidth = thickness;
      context.stroke();
    }
  }
  context.globalAlpha = opacity;
}

/**
 * A bone between two points.
 *
 * @param bone from, to: points with x, y, radius; width (px); tint; doubt 0..1; hidden; opacity 0..1.
 */
export function drawBone(context, {from, to, width, tint, doubt, hidden, opacity = 1}) {
  const ends = shorten(from, to);
  if (!ends) return;
  context.lineCap = "round";
  const dash = hidden ? [width * 1.6, width * 2.8] : [];
  stroke(context, ends, {style: DARK, width: width + 2, dash, alpha: opacity * 0.7});
  stroke(context, ends, {style: tint, width, dash, alpha: opacity});
  if (doubt > 0) stroke(context, ends, {style: DOUBT, width: coreOf(width), dash, alpha: opacity * Math.min(0.3 + doubt, 1)});
}

const coreOf = (width) => Math.max(width * 0.6, 1.4);

/** From the edge of one point to the edge of the other; null where they touch. */
function shorten(from, to) {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const [start, end] = [from.radius + 1, length - to.radius - 1];
  if (end <= start) return null;
  const along = (distance) => [
    from.x + ((to.x - from.x) * distance) / length,
    from.y + ((to.y - from.y) * distance) / length,
  ];
  return [along(start), along(end)];
}

/** The box of the person under the mouse, or one that an action would take. */
export function drawBox(context, {corners, tint, marked, opacity = 1}) {
  for (const [style, width] of [[DARK, 4], [marked ? LIGHT : tint, 2]]) {
    context.globalAlpha = opacity;
    context.beginPath();
    corners.forEach(({x, y}, i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
    context.setLineDash(marked ? [8, 6] : []);
    context.strokeStyle = style;
    context.lineWidth = width;
    context.stroke();
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

/** The name of a joint beside it. */
export function drawName(context, {text, x, y, align, opacity = 1}) {
  context.globalAlpha = opacity;
  context.font = "600 11px system-ui, sans-serif";
  context.textAlign = align;
  context.textBaseline = "middle";
  context.lineJoin = "round";
  context.strokeStyle = DARK;
  context.lineWidth = 3.5;
  context.strokeText(text, x, y);
  context.fillStyle = LIGHT;
  context.fillText(text, x, y);
  context.globalAlpha = 1;
}

function disc(context, x, y, radius, style) {
  context.beginPath();
  context.arc(x, y, radius, 0, TURN);
  context.fillStyle = style;
  context.fill();
}

function circle(context, x, y, radius, strokes) {
  for (const [style, width] of strokes) {
    context.beginPath();
    context.arc(x, y, radius, 0, TURN);
    context.strokeStyle = style;
    context.lineWidth = width;
    context.stroke();
  }
}

function stroke(context, [from, to], {style, width, dash, alpha}) {
  context.globalAlpha = alpha;
  context.setLineDash(dash);
  context.strokeStyle = style;
  context.lineWidth = width;
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  context.stroke();
  context.setLineDash([]);
  context.globalAlpha = 1;
}

const point = (x, y, more) => ({x, y, radius: 5, side: "middle", doubt: 0, ...more});

function legendPoint(more) {
  return (context, x, y) => drawPoint(context, point(x, y, more));
}

function legendBone(more) {
  return (context, x, y) => {
    const [from, to] = [point(x - 16, y, {radius: 0}), point(x + 16, y, {radius: 0})];
    drawBone(context, {from, to, width: 4, tint: LEGEND_TINT, doubt: 0, ...more});
  };
}

/** What a legend shows: each sign draws itself around a place, within 20 px to the sides and 11 px up and down. */
export const signs = [
  {name: "left", means: "a joint of the person's left side", draw: legendPoint({side: "left"})},
  {name: "right", means: "a joint of the person's right side", draw: legendPoint({side: "right"})},
  {name: "placed", means: "placed or accepted by you: refinement leaves it there", draw: legendPoint({side: "left", placed: true})},
  {name: "doubtful", means: "predicted, and doubtful: look here first", draw: legendPoint({side: "left", doubt: 0.9})},
  {name: "hidden", means: "hidden (occluded): a dark middle", draw: legendPoint({side: "left", hidden: true})},
  {name: "loose", means: "nobody's: it belongs to no person, and an export leaves it out", draw: legendPoint({loose: true})},
  {name: "sure bone", means: "a bone in the tint of its person", draw: legendBone({})},
  {name: "doubtful bone", means: "a red core: one of its ends is doubtful", draw: legendBone({doubt: 0.9})},
  {name: "hidden bone", means: "dashed: one of its ends is hidden", draw: legendBone({hidden: true})},
];
