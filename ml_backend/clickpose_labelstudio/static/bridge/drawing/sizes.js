/** How large points and bones are: they grow with their person on the screen. */

const SMALLEST_PX = 1.7;
const USUAL_PX = [2.2, 6]; // of small persons, and of large ones
const SHARE = 0.011; // of the person's longer side on the screen
const ROOM = 0.35; // of the way to the nearest joint of the person, so that small faces stay visible
const GRAB_PX = 8; // how far from its middle a lonely joint is caught by the mouse
const BONE_PX = [2, 4.5];
const BONE_SHARE = 0.009;

const clamp = (value, [least, most]) => Math.min(Math.max(value, least), most);

/** Set `radius` of a person's points, and `grab`, how far from its middle each is caught by the mouse; px. */
export function sizePoints(points, size) {
  const usual = clamp(size * SHARE, USUAL_PX);
  for (const point of points) {
    const nearest = nearestOf(point, points);
    point.radius = Math.max(Math.min(usual, nearest * ROOM), SMALLEST_PX);
    point.grab = Math.max(Math.min(nearest / 2, GRAB_PX), point.radius + 1);
  }
}

function nearestOf(point, points) {
  let nearest = Infinity;
  for (const other of points) {
    if (other !== point) nearest = Math.min(nearest, Math.hypot(other.x - point.x, other.y - point.y));
  }
  return nearest;
}

/** Width of a person's bones, px. */
export const widthOf = (size) => clamp(size * BONE_SHARE, BONE_PX);
