/** Poses after clicks, each decoded once: a release asks what the latest move of the mouse has asked. */
import * as decoder from "./decoder.js";

const SAME_PX = 1e-3; // places as near as this get the same answer
const FAST_MS = 60; // both views are decoded under the moving mouse too, where that takes no longer

let asked = null; // what was decoded last
let bothMs = null; // how long decoding both views takes, about

/**
 * The pose that counts, {keypoints, box, scores, visibilities, score, isCovered}, or {error}.
 *
 * @param person as decoder.prepare numbered it.
 * @param query {keypoints: x and y px of each joint, NaN where it is not there; fixed: 1 or 0 for each; box}: Float64Arrays.
 */
export const atRelease = (person, query) => poseOf(person, query, 2);

/** The pose under the moving mouse; null where it is the one that was asked for last. */
export function underMouse(person, query) {
  const before = asked?.pose;
  const pose = poseOf(person, query, bothMs > FAST_MS ? 1 : 2);
  return pose === before ? null : pose;
}

function poseOf(person, {keypoints, fixed, box}, views) {
  const isSame = (a, b) => a.every((value, i) => Object.is(value, b[i]) || Math.abs(value - b[i]) < SAME_PX);
  const isAsked =
    asked?.person === person &&
    asked.views === views &&
    [[keypoints, asked.keypoints], [fixed, asked.fixed], [box, asked.box]].every(([a, b]) => isSame(a, b));
  if (!isAsked) asked = {person, views, keypoints, fixed, box, pose: decoded(person, {keypoints, fixed, box}, views)};
  return asked.pose;
}

async function decoded(person, query, views) {
  const pose = await decoder.decode(person, query, views);
  if (views === 2 && !pose.error) bothMs = bothMs === null ? pose.ms : 0.7 * bothMs + 0.3 * pose.ms;
  return pose;
}
