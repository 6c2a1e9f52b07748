/** What is under the mouse. */
const REACH_PX = 9; // of a lonely joint; the bridge's `grab` where others are near
const BONE_PX = 6;

/**
 * The person and joint at a place on the canvas: a joint of who is chosen first, then any joint, a bone, the smallest box.
 *
 * @param scene see scene.js; `at`: {x, y} px.
 * @returns {id, joint: index or null}, or null.
 */
export function pick(scene, at) {
  const front = [...scene].reverse();
  for (const person of front) {
    const point = nearest(person.points, at);
    if (point) return {id: person.id, joint: point.index};
  }
  const onBone = front.find(({bones}) => bones.some((bone) => distanceToBone(bone, at) <= Math.max(bone.width, BONE_PX)));
  if (onBone) return {id: onBone.id, joint: null};
  const inside = front.filter(({corners: [from, , to]}) => at.x >= from.x && at.x <= to.x && at.y >= from.y && at.y <= to.y);
  inside.sort((a, b) => a.size - b.size);
  return inside.length ? {id: inside[0].id, joint: null} : null;
}

function nearest(points, at) {
  let [found, least] = [null, Infinity];
  for (const point of points) {
    const away = Math.hypot(point.x - at.x, point.y - at.y);
    if (away < least && away <= Math.max(point.grab, Math.min(REACH_PX, point.radius + 4))) [found, least] = [point, away];
  }
  return found;
}

function distanceToBone({from, to}, at) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const along = Math.min(Math.max(((at.x - from.x) * dx + (at.y - from.y) * dy) / (dx * dx + dy * dy || 1), 0), 1);
  return Math.hypot(from.x + along * dx - at.x, from.y + along * dy - at.y);
}
