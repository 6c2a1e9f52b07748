/** What is drawn of an annotation: its persons with their signs, in pixels of the stage, as plain records. */
import * as display from "./display.js";
import {doubtOf} from "./doubt.js";
import * as lsRegions from "../label_studio/regions.js";
import {membersOf} from "../pose/members.js";
import * as skeleton from "../pose/skeleton.js";
import {sizePoints, widthOf} from "./sizes.js";
import {tintsOf} from "./tints.js";

const BEHIND = 0.35; // opacity of persons who are not the one under the mouse
const FADED = 0.22; // and of what is only predicted, where that is asked for

const groups = new WeakMap(); // members of an annotation -> what is drawn of them
let isPressed = false; // only who is under the mouse or selected is moved then
let latest = {}; // what the latest scene was made of, and what was placed in it

/** Get to know that the mouse has been pressed or released. */
export function press(isDown) {
  isPressed = isDown;
}

/** Persons and nobody's joints, each with what is drawn of them besides their places. */
function groupsOf(members) {
  if (!groups.has(members)) groups.set(members, makeGroups(members));
  return groups.get(members);
}

function makeGroups({persons, loose}) {
  const made = [...persons.values()].map(({id, box, keypoints}) => ({
    id,
    box,
    joints: [...keypoints].map(([joint, region]) => factsOf(joint, region)),
  }));
  const joints = loose.map((region) => factsOf(skeleton.joint(region.labelName), region, true));
  return joints.length ? [{id: "", box: null, joints}, ...made] : made;
}

/** What is drawn of a joint besides its place, and does not change without its region. */
function factsOf(joint, region, loose = false) {
  const {touched, occluded, score} = lsRegions.facts(region);
  const side = joint.match(/^(left|right)_/)?.[1] ?? "middle";
  return {region, id: region.cleanId, joint, side, doubt: touched ? 0 : doubtOf(score), placed: touched, hidden: occluded, loose};
}

/**
 * Persons from the back to the front, each with `points`, `bones` and `box`; one without an id has nobody's joints.
 *
 * Every point keeps its `region`, which nothing draws but which Konva's shape of it is dressed by.
 */
export function sceneOf({annotation, stage, image}) {
  const persons = placed(annotation, stage, image);
  const shown = persons.filter(({center}) => center);
  const tints = tintsOf(annotation, shown);
  const meant = display.get("hovered");
  const front = shown.length > 1 && shown.some(({id}) => id && id === meant) ? meant : null;
  const scene = shown.map((person) => ({
    ...person,
    tint: tints.get(person.id),
    opacity: front === null || person.id === front ? 1 : BEHIND,
  }));
  scene.forEach((person) => finish(person, person.id !== "" && person.id === meant));
  return scene.sort((a, b) => (a.id === front ? 1 : 0) - (b.id === front ? 1 : 0));
}

/** Persons with their places and sizes; of those who cannot have changed since the latest scene, what was found then. */
function placed(annotation, stage, image) {
  const transform = stage.getAbsoluteTransform();
  const members = membersOf(annotation);
  const made = [members, image.stageWidth, image.stageHeight, ...transform.getMatrix()];
  const isSame = isPressed && made.length === latest.made?.length && made.every((v, i) => v === latest.made[i]);
  const before = isSame ? latest.persons : new Map();
  const isMoving = (known) => known.id === display.get("hovered") || known.isChosen;
  const persons = groupsOf(members).map((group) => {
    const known = before.get(group.id);
    return known && !isMoving(known) ? known : personOf(group, transform);
  });
  latest = {made, persons: new Map(persons.map((person) => [person.id, person]))};
  return persons;
}

/** Places and sizes of a person. */
function personOf({id, box, joints}, transform) {
  const points = joints.filter(({region}) => !region.hidden).map((facts) => pointOf(facts, transform));
  const corners = box && !box.hidden ? lsRegions.stageCorners(box, transform) : null;
  const outline = corners ?? points;
  const [xs, ys] = [outline.map(({x}) => x), outline.map(({y}) => y)];
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const size = id ? Math.max(right - left, bottom - top) : 0;
  const center = outline.length ? {x: (left + right) / 2, y: (top + bottom) / 2} : null;
  const isChosen = points.some(({selected}) => selected) || Boolean(box && isSelected(box));
  sizePoints(points, size);
  return {id, points, corners, boxId: box?.cleanId, size, center, isChosen};
}

const isSelected = (region) => Boolean(region.inSelection || region.highlighted);

function pointOf(facts, transform) {
  const {x, y} = lsRegions.stagePoint(facts.region, transform);
  return {...facts, x, y, selected: isSelected(facts.region)};
}

/** How strongly a person's points are drawn; its bones and its box. */
function finish(person, isMeant) {
  const isFading = display.get("fadePredicted");
  const marked = display.get("marked");
  const fade = (isPlaced) => (isFading && !isPlaced ? FADED : 1);
  const points = new Map();
  for (const point of person.points) {
    point.opacity = fade(point.placed);
    point.isBehind = person.opacity < 1;
    point.marked = marked.has(point.id);
    points.set(point.joint, point);
  }
  const width = widthOf(person.size) + (isMeant ? 0.5 : 0);
  person.bones = [];
  for (const [a, b] of display.get("bones") && person.id ? skeleton.bones : []) {
    const [from, to] = [points.get(a), points.get(b)];
    if (!from || !to) continue;
    const doubt = Math.max(from.doubt, to.doubt); // a placed joint does not make its neighbour sure
    const opacity = person.opacity * fade(from.placed && to.placed);
    person.bones.push({from, to, width, doubt, hidden: from.hidden || to.hidden, opacity});
  }
  const isMarked = marked.has(person.boxId);
  person.box = person.corners && (isMeant || isMarked) ? {corners: person.corners, marked: isMarked} : null;
}
