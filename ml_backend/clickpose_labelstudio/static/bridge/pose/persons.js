/** Which regions of an annotation are one person, which are nobody's, and whom the mouse means. */
import * as lsRegions from "../label_studio/regions.js";
import * as skeleton from "./skeleton.js";

const JOINT_REACH_PX = 14; // how far from the rim of a joint the mouse may be to mean it
const BONE_REACH_PX = 10; // and from a bone
const TIE_PX = 3; // joints this near to each other are told apart by what is selected

/** Id of the person that a region belongs to; an empty text for nobody's. */
export const ownerId = (region) => (lsRegions.isBox(region) ? region.cleanId : lsRegions.parentId(region));

/**
 * Persons of an annotation: id -> {id, box (or null), keypoints: joint name -> region, others}. `others` are keypoints of
 * the person that an export leaves out: a joint that is there twice, a label that is no joint.
 */
export function personsOf(annotation) {
  const persons = new Map();
  for (const region of annotation.regions) {
    const isBox = lsRegions.isBox(region);
    const id = isBox || lsRegions.isKeypoint(region) ? ownerId(region) : "";
    if (!id) continue;
    if (!persons.has(id)) persons.set(id, {id, box: null, keypoints: new Map(), others: []});
    const person = persons.get(id);
    const joint = isBox ? null : skeleton.joint(region.labelName);
    if (isBox) person.box = region;
    else if (joint && !person.keypoints.has(joint)) person.keypoints.set(joint, region);
    else person.others.push(region);
  }
  return persons;
}

/** All regions of a person: the box first, then the joints. */
export const regionsOf = ({box, ...person}) => [box, ...pointsOf(person)].filter(Boolean);

/** All keypoints of a person, also those that an export leaves out. */
export const pointsOf = ({keypoints, others}) => [...keypoints.values(), ...others];

/** Joints that belong to nobody: they name no person. */
export function ownerless(annotation) {
  return annotation.regions.filter(
    (region) => lsRegions.isKeypoint(region) && !ownerId(region) && skeleton.joint(region.labelName),
  );
}

/** Joints that their person has already: [{person, joint, kept, extra}]; an export leaves out `extra`. */
export function doubles(annotation, persons = personsOf(annotation)) {
  const extras = [...persons.values()].flatMap((person) => person.others.map((extra) => ({person, extra})));
  return extras
    .map(({person, extra}) => ({person, extra, joint: skeleton.joint(extra.labelName)}))
    .filter(({joint}) => joint)
    .map((double) => ({...double, kept: double.person.keypoints.get(double.joint)}));
}

/**
 * Who is meant under the mouse: the ONE rule for tints, keys and clicks.
 *
 * The nearest joint in reach says whose it is; else the nearest bone in reach; else, of the boxes under the mouse, the
 * one whose skeleton is nearest, and of equals the smallest. What is hidden is not meant.
 *
 * @param {{annotation, image, stage}} view what is shown
 * @param {{x, y}} pointer client pixels
 * @param persons as of {@link personsOf}
 * @param before id of the person who was meant until now, and still is where joints all but coincide
 * @param except a region that is not meant: one that has just been placed there
 * @returns {{person, keypoint, by} | null} `person` is null where the joint is nobody's; `keypoint`, a region, is null
 *   where no joint is in reach; `by` is "joint", "bone" or "box"
 */
export function personUnder(view, pointer, persons = personsOf(view.annotation), before = null, except = null) {
  const at = lsRegions.stagePointer(view, pointer);
  if (!at) return null;
  const transform = view.stage.getAbsoluteTransform();
  const keypoint = nearestJoint(view.annotation, transform, at, before, except);
  if (keypoint) return {person: persons.get(ownerId(keypoint)) ?? null, keypoint, by: "joint"};
  const shown = [...persons.values()].map((person) => outline(person, transform));
  const near = nearestBone(shown, at);
  if (near) return {person: near, keypoint: null, by: "bone"};
  const boxed = nearestBox(shown, at, transform);
  return boxed && {person: boxed, keypoint: null, by: "box"};
}

/** The joint in reach, also nobody's; of joints that all but coincide, the selected person's, else who was meant before's. */
function nearestJoint(annotation, transform, at, before, except) {
  const near = [];
  for (const region of annotation.regions) {
    if (!lsRegions.isKeypoint(region) || region.hidden || region === except) continue;
    const point = lsRegions.stagePoint(region, transform);
    const distance = Math.hypot(point.x - at.x, point.y - at.y);
    if (distance - region.canvasWidth < JOINT_REACH_PX) near.push({region, distance});
  }
  near.sort((a, b) => a.distance - b.distance);
  const tied = near.filter(({distance}) => distance <= near[0].distance + TIE_PX);
  const chosen = new Set(lsRegions.selected(annotation).map(ownerId));
  const first =
    tied.find(({region}) => region.selected || chosen.has(ownerId(region))) ??
    tied.find(({region}) => before && ownerId(region) === before) ??
    near[0];
  return first?.region ?? null;
}

/** A person's shown joints and bones in stage pixels. */
function outline(person, transform) {
  const points = new Map();
  for (const [joint, region] of person.keypoints) {
    if (!region.hidden) points.set(joint, lsRegions.stagePoint(region, transform));
  }
  const bones = skeleton.bones.filter(([a, b]) => points.has(a) && points.has(b));
  return {person, points: [...points.values()], bones: bones.map(([a, b]) => [points.get(a), points.get(b)])};
}

function nearestBone(shown, at) {
  let best = null;
  for (const {person, bones} of shown) {
    for (const [a, b] of bones) {
      const distance = distanceToBone(at, a, b);
      if (distance < BONE_REACH_PX && !(best?.distance <= distance)) best = {person, distance};
    }
  }
  return best?.person ?? null;
}

function nearestBox(shown, at, transform) {
  const under = [];
  for (const {person, points, bones} of shown) {
    if (!person.box || person.box.hidden) continue;
    const corners = lsRegions.stageCorners(person.box, transform);
    if (!contains(corners, at)) continue;
    const sides = corners.map((corner, i) => [corner, corners[(i + 1) % 4]]);
    const lines = points.length ? [...bones, ...points.map((point) => [point, point])] : sides;
    const distance = Math.min(...lines.map(([a, b]) => distanceToBone(at, a, b)));
    under.push({person, distance, area: person.box.width * person.box.height});
  }
  under.sort((a, b) => a.distance - b.distance || a.area - b.area);
  return under[0]?.person ?? null;
}

/** Whether the mouse is in the box, a shown one, of a person. */
export function isInBox(view, {box}, pointer) {
  const at = lsRegions.stagePointer(view, pointer);
  if (!box || !lsRegions.isShown(box) || !at) return false;
  return contains(lsRegions.stageCorners(box, view.stage.getAbsoluteTransform()), at);
}

/** Distance of a point from a line between two points. */
export function distanceToBone(at, a, b) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = dx * dx + dy * dy;
  const t = length ? Math.min(Math.max(((at.x - a.x) * dx + (at.y - a.y) * dy) / length, 0), 1) : 0;
  return Math.hypot(a.x + t * dx - at.x, a.y + t * dy - at.y);
}

/** Whether a point lies in a box that is given by its corners, in order. */
export function contains(corners, at) {
  const sides = corners.map((a, i) => {
    const b = corners[(i + 1) % corners.length];
    return (b.x - a.x) * (at.y - a.y) - (b.y - a.y) * (at.x - a.x);
  });
  return sides.every((side) => side >= 0) || sides.every((side) => side <= 0);
}
