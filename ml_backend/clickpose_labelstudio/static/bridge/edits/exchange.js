/**
 * Exchanges left and right: of a person, a limb or one pair of joints, as one step of the history.
 *
 * The two regions of a pair change places, and with them what is occluded; where one of the two is missing, the other
 * becomes it. Both count as placed by a human. No refinement is asked for: the points are where the annotator sees them,
 * and what follows later, at the next drag, holds them.
 */
import * as lsHistory from "../label_studio/history.js";
import * as lsRegions from "../label_studio/regions.js";
import * as skeleton from "../pose/skeleton.js";

/** Pairs of regions of a person, [one, other]; `other` is null where the joint of the other side is missing. */
export function pairsOf({keypoints}, joints) {
  const found = new Map();
  for (const joint of joints) {
    const other = skeleton.mirror(joint);
    const [left, right] = skeleton.sideOf(joint) === "left" ? [joint, other] : [other, joint];
    const regions = [keypoints.get(left), keypoints.get(right)].filter(Boolean);
    if (other && regions.length) found.set(left, [regions[0], regions[1] ?? null]);
  }
  return [...found.values()];
}

/** Exchange pairs of regions, none of which is locked. */
export function exchange(annotation, pairs) {
  lsHistory.asOneStep(annotation, () => {
    for (const [one, other] of pairs) {
      if (other) changePlaces(one, other);
      else becomeOther(one);
      [one, other].filter(Boolean).forEach(lsRegions.accept);
    }
  });
}

function changePlaces(one, other) {
  const [there, here] = [lsRegions.pointOf(other), lsRegions.pointOf(one)];
  const differ = lsRegions.isOccluded(one) !== lsRegions.isOccluded(other);
  lsRegions.moveTo(one, there);
  lsRegions.moveTo(other, here);
  if (differ) [one, other].forEach(lsRegions.toggleOccluded);
}

function becomeOther(region) {
  const wanted = skeleton.mirror(skeleton.joint(region.labelName));
  const label = lsRegions.labelsBeside(region).find((name) => skeleton.joint(name) === wanted);
  if (label) lsRegions.relabel(region, label);
}
