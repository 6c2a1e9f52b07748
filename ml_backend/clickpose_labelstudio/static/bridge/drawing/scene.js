/** What is drawn of an annotation: its persons with their signs, in pixels of the stage, as plain records. */
import * as display from "./display.js";
import {stateOf} from "../label_studio/changes.js";
import * as lsRegions from "../label_studio/regions.js";
import {ownerless, personsOf} from "../pose/persons.js";
import * as skeleton from "../pose/skeleton.js";
import {tintsOf} from "./tints.js";

const SURE = 0.75; // predicted OKS from which a joint is not doubtful at all
const DOUBTFUL = 0.3; // and up to which it is as doubtful as can be shown
const UNKNOWN = 0.6; // taken for the predicted OKS where nothing has predicted it
const BEHIND = 0.35; // opacity of persons who are not the one under the mouse
const FADED = 0.22; // and of what is only predicted, where that is asked for

const persons = new WeakMap(); // state of an annotation's regions -> what belongs to whom

/** Persons and nobody's joints of an annotation, told apart anew only when a region has changed. */
export function membersOf(annotation) {
  const state = stateOf(annotation.areas);
  const known = state && persons.get(state);
  if (known) return known;
  const members = {persons: personsOf(annotation), loose: ownerless(annotation)};
  if (state) persons.set(state, members);
  return members;
}

/**
 * Persons from the back to the front, each with `points`, `bones` and `box`; `nobody`, a person of loose joints.
 *
 * Every point keeps its `region`, which nothing draws but which Konva's shape of it is dressed by.
 */
export function sceneOf({annotation, stage}) {
  const transform = stage.getAbsoluteTransform();
  const {persons, loose} = membersOf(annotation);
  const shown = [...persons.values()].map((person) => personOf(person, transform)).filter(({center}) => center);
  const tints = tintsOf(annotation, shown);
  const hovered = shown.length > 1 && shown.some(({id}) => id === display.get("hovered")) && display.get("hovered");
  for (const person of shown) {
    person.tint = tints.get(person.id);
    person.opacity = !hovered || person.id === hovered ? 1 : BEHIND;
    person.isShown = !persons.has(display.get("isolated")) || person.id === display.get("isolated");
    finish(person, person.id === display.get("hovered"));
  }
  const nobody = {id: "", points: loose.filter(isShown).map((region) => pointOf(region, transform)), bones: [], box: null};
  Object.assign(nobody, {size: 0, opacity: 1, isShown: true, tint: "#fff"});
  finish(nobody, false);
  nobody.points.forEach((point) => (point.loose = true));
  const front = (person) => (person.id === hovered ? 1 : 0);
  return [nobody, ...shown.sort((a, b) => front(a) - front(b))];
}

const isShown = (region) => !region.hidden;

/** Places and size of a person. */
function personOf({id, box, keypoints}, transform) {
  const regions = [...keypoints].filter(([, region]) => isShown(region));
  const points = regions.map(([joint, region]) => pointOf(region, transform, joint));
  const corners = box && isShown(box) ? lsRegions.stageCorners(box, transform) : null;
  const outline = corners ?? points;
  const [xs, ys] = [outline.map(({x}) => x), outline.map(({y}) => y)];
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const size = Math.max(right - left, bottom - top);
  const center = outline.length ? {x: (left + right) / 2, y: (top + bottom) / 2} : null;
  return {id, points, corners, boxRegion: box, size, center};
}

function pointOf(region, transform, joint = skeleton.joint(region.labelName)) {
  const {x, y} = lsRegions.stagePoint(region, transform);
  const {touched, occluded, score} = lsRegions.facts(region);
  const doubt = Math.min(Math.max((SURE - (score ?? UNKNOWN)) / (SURE - DOUBTFUL), 0), 1);
  return {
    region, joint, x, y,
    side: joint.match(/^(left|right)_/)?.[1] ?? "middle",
    doubt: touched ? 0 : doubt,
    placed: touched,
    hidden: occluded,
    selected: Boolean(region.inSelection || region.highlighted),
    marked: display.get("marked").has(region.cleanId),
  };
}

/** Sizes, bones and box of a person whose points are known. */
function finish(person, isMeant) {
  const fade = (isPlaced) => (display.get("fadePredicted") && !isPlaced ? FADED : 1);
  sizePoints(person);
  for (const point of person.points) point.opacity = person.opacity * fade(point.placed);
  const points = new Map(person.points.map((point) => [point.joint, point]));
  const width = Math.min(Math.max(person.size * 0.009, 2), 4.5) + (isMeant ? 0.5 : 0);
  const pairs = display.get("bones") ? skeleton.bones.map(([a, b]) => [points.get(a), points.get(b)]) : [];
  person.bones = pairs
    .filter(([from, to]) => from && to)
    .map(([from, to]) => ({
      from, to, width,
      doubt: Math.max(from.doubt, to.doubt), // a placed joint does not make its neighbour sure
      hidden: from.hidden || to.hidden,
      opacity: person.opacity * fade(from.placed && to.placed),
    }));
  const marked = display.get("marked").has(person.boxRegion?.cleanId);
  person.box = person.corners && (isMeant || marked) ? {corners: person.corners, marked} : null;
}

const SMALLEST_PX = 1.7;
const LARGEST_PX = 6;
const SHARE = 0.011; // of the person's longer side on the screen
const GRAB_PX = 8; // how far from its middle a lonely joint is caught by the mouse

/** Points grow with their person on the screen, and leave room between each other, so that small faces stay visible. */
function sizePoints({points, size}) {
  const usual = Math.min(Math.max(size * SHARE, 2.2), LARGEST_PX);
  for (const point of points) {
    const others = points.filter((other) => other !== point);
    const room = Math.min(...others.map((other) => Math.hypot(other.x - point.x, other.y - point.y))) / 2;
    point.radius = Math.max(Math.min(usual, room * 0.7), SMALLEST_PX);
    point.grab = Math.max(Math.min(room, GRAB_PX), point.radius + 1);
  }
}
