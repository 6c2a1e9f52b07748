/**
 * What a request says: the regions of the persons that were edited, and nothing of the others.
 *
 * Others matter in one case: a keypoint that says of nobody to be his goes to the person whom it lies on. Then the
 * loose keypoints go along, and all who may get one, so that the answer is the same as for the whole annotation.
 */
import * as lsRegions from "../label_studio/regions.js";

const REACH = 0.5; // of the longer side, how far beside a person a keypoint may be his; more than the backend's

/** The context of an interactive request about the `edited` region ids (a Set). */
export function contextOf(annotation, edited) {
  const regions = toSend(annotation, edited);
  const idsOf = (which) => regions.filter(which).map((region) => region.cleanId);
  return {
    result: lsRegions.serialize(annotation, regions),
    edited: [...edited],
    confirmed: idsOf(lsRegions.isTouched),
    locked: idsOf(lsRegions.isLocked),
    draft_id: annotation.draftId,
  };
}

/** The regions that the answer depends on, in their order. */
function toSend(annotation, edited) {
  const all = annotation.regions;
  if (lsRegions.hasRelations(annotation)) return all; // they tell whose a keypoint is, across any number of regions
  const owners = ownersOf(all);
  const loose = all.filter((region) => owners.get(region) === null);
  const wanted = new Set(all.filter((region) => edited.has(region.cleanId)).map((region) => owners.get(region)));
  if (loose.length) candidates(all, owners, loose).forEach((owner) => wanted.add(owner));
  const isShape = (region) => loose.length > 0 && !lsRegions.isKeypoint(region);
  return all.filter((region) => owners.get(region) === null || wanted.has(owners.get(region)) || isShape(region));
}

/**
 * Region -> the region at the root of its tree, which is a person's box; null for a keypoint without one. A keypoint
 * that names a parent that is gone is among these: its own id may name another person.
 */
function ownersOf(all) {
  const byId = new Map(all.map((region) => [region.cleanId, region]));
  const owners = new Map();
  for (const region of all) {
    const seen = new Set();
    let root = region;
    while (lsRegions.isKeypoint(root) && byId.has(lsRegions.parentId(root)) && !seen.has(root)) {
      seen.add(root);
      root = byId.get(lsRegions.parentId(root));
    }
    owners.set(region, lsRegions.isKeypoint(root) ? null : root);
  }
  return owners;
}

/** The owners who may get one of the loose keypoints: on whom it lies, whom its own id may name, or who have no box. */
function candidates(all, owners, loose) {
  const members = new Map();
  for (const region of all) {
    const owner = owners.get(region);
    if (owner !== null) members.set(owner, [...(members.get(owner) ?? []), region]);
  }
  const named = new Set(loose.map(tokenOf).filter(Boolean));
  const mayGet = ([owner, regions]) =>
    (!lsRegions.isBox(owner) && regions.length > 1) ||
    regions.some((region) => named.has(tokenOf(region))) ||
    loose.some((keypoint) => isInReach(keypoint, regions));
  return [...members].filter(mayGet).map(([owner]) => owner);
}

/** The person whom our own ids, `cp-<person>` and `cp-<person>-<joint>`, name; null for ids of Label Studio. */
const tokenOf = (region) => region.cleanId.match(/^cp-([^-]+)(?:-|$)/)?.[1] ?? null;

/** Whether a keypoint lies on or beside what the boxes and keypoints among the regions span. */
function isInReach(keypoint, regions) {
  const spans = regions.filter((region) => lsRegions.isBox(region) || lsRegions.isKeypoint(region)).map(lsRegions.span);
  const [left, top] = ["left", "top"].map((edge) => Math.min(...spans.map((span) => span[edge])));
  const [right, bottom] = ["right", "bottom"].map((edge) => Math.max(...spans.map((span) => span[edge])));
  const reach = REACH * Math.max(right - left, bottom - top);
  const {x, y} = lsRegions.center(keypoint);
  return x >= left - reach && x <= right + reach && y >= top - reach && y <= bottom + reach;
}
