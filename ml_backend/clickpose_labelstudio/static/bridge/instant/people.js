/**
 * The people whose edits are answered here, in the browser: what the network saw of them has been fetched, since the mouse
 * came near. What is answered here is what the backend would answer; where that cannot be, it is asked as ever.
 */
import {askBackend} from "./asking.js";
import * as backend from "../edits/backend.js";
import {config, diagnostics} from "../config.js";
import {contextOf} from "../edits/context.js";
import * as decoder from "./decoder.js";
import * as lsPage from "../label_studio/page.js";
import * as lsRegions from "../label_studio/regions.js";
import {membersOf} from "../pose/members.js";
import {ownerId, personsOf, pointsOf} from "../pose/persons.js";
import * as poses from "./poses.js";

const REST_MS = 60; // that the mouse stays with a person before anything is fetched: it may only be passing
const MOST_PEOPLE = 24; // 1.3 MB each
const SMALLEST_PX = 4; // side of a box that the network looks at as it is
const NETWORK_MS = 60000; // after which a network that cannot be had may be another one

let known = {annotation: null, people: new Map()}; // id of a person -> {number, joints, count, imageHw}; oldest first
let latest = 0; // number of the newest person
let isFetching = false;
let notBefore = 0; // when something may be fetched again, after it could not be had
let wanted = null; // id of the person under the mouse

decoder.askBy(askBackend);

function peopleOf(annotation) {
  if (known.annotation !== annotation) {
    for (const {number} of known.people.values()) decoder.forget(number);
    known = {annotation, people: new Map()};
  }
  return known.people;
}

/** The mouse is with a person, or with nobody (null); fetch what answering an edit takes. */
export function approach(annotation, id) {
  wanted = id;
  if (!id || !config.instant || !decoder.isPossible()) return;
  setTimeout(() => wanted === id && prepare(annotation, id), REST_MS);
}

/** Fetch what the network saw of a person, unless that is here already. */
export async function prepare(annotation, id) {
  const people = peopleOf(annotation);
  if (isFetching || people.has(id) || !config.instant || !decoder.isPossible() || performance.now() < notBefore) return;
  if (!lsPage.isSelected(annotation) || !lsPage.isEditable(annotation)) return;
  const person = personsOf(annotation).get(id);
  if (!person?.box) return;
  isFetching = true;
  try {
    const url = await backend.interactiveAddress();
    if (!url || known.people !== people || !lsPage.isSelected(annotation)) return;
    const number = ++latest;
    const context = {...contextOf(annotation, new Set([person.box.cleanId])), edited: [], browser: {person: id}};
    const answer = await decoder.prepare(number, {url, task: lsPage.taskId(), context});
    const isLost = answer.error || answer.unavailable === "network";
    if (isLost) {
      diagnostics.instant.trouble = answer.error ?? answer.reason;
      notBefore = performance.now() + (answer.error ? config.retryMs : NETWORK_MS);
    }
    if (isLost || known.people !== people) return;
    people.set(id, answer.unavailable ? null : {...answer, number}); // the answer has a number of its own
    diagnostics.instant.people = people.size;
    forgetOldest(people);
  } finally {
    isFetching = false;
  }
  if (wanted && wanted !== id) prepare(annotation, wanted);
}

function forgetOldest(people) {
  for (const [id, entry] of [...people].slice(0, Math.max(people.size - MOST_PEOPLE, 0))) {
    if (entry) decoder.forget(entry.number);
    people.delete(id);
  }
}

/** What is known of a person has been changed by a new box, or a joint that was not there. */
function forget(people, id) {
  const entry = people.get(id);
  if (entry) decoder.forget(entry.number);
  people.delete(id);
  diagnostics.instant.people = people.size;
}

/**
 * The answer to an edit as the backend would give it, or null where it is to be asked.
 *
 * @param edited ids of the edited regions (a Set)
 */
export async function answer(annotation, edited) {
  const people = peopleOf(annotation);
  const owners = new Set(annotation.regions.filter(({cleanId}) => edited.has(cleanId)).map(ownerId));
  const [id] = owners;
  if (owners.size !== 1 || !people.get(id)) return null;
  const query = queryOf(annotation, id, edited);
  if (!query) {
    forget(people, id);
    return null;
  }
  const pose = await poses.atRelease(query.entry.number, query);
  if (isLost(pose, people, id)) return null;
  diagnostics.instant.answers += 1;
  return {items: itemsOf(query, pose), notes: []};
}

/** Have the answer to a drag that is just ending worked out, while Label Studio itself is still busy with its end. */
export function hasten(annotation, joint, live) {
  const query = liveQueryOf(annotation, joint, live);
  if (query) poses.atRelease(query.entry.number, query);
}

function liveQueryOf(annotation, joint, live) {
  const id = ownerId(joint);
  if (!peopleOf(annotation).get(id)) return null;
  return queryOf(annotation, id, new Set([joint.cleanId]), new Map([[joint.cleanId, live]]));
}

/** Where the others would go while a joint is dragged: [{region, value}], or null where that is not known. */
export async function foresee(annotation, joint, live) {
  const query = liveQueryOf(annotation, joint, live);
  if (!query) return null;
  const pose = await poses.underMouse(query.entry.number, query);
  if (!pose) return null; // it is shown already
  if (pose.error ? isLost(pose, peopleOf(annotation), ownerId(joint)) : !pose.isCovered) return null;
  return movesOf(query, pose);
}

/** Whether a pose cannot be used; what is known of its person is then of no use any more. */
function isLost(pose, people, id) {
  if (pose.error) diagnostics.instant.trouble = pose.error;
  if (!pose.error && pose.isCovered) return false;
  forget(people, id);
  return true;
}

/** A person as the decoder takes it; null where only the backend can tell. */
function queryOf(annotation, id, edited, live = new Map()) {
  const entry = peopleOf(annotation).get(id);
  const {persons, loose} = membersOf(annotation); // at every move of the mouse: told apart anew only after a change
  const person = persons.get(id);
  const isSimple = person?.box && !lsRegions.hasRelations(annotation) && !loose.length;
  if (!isSimple || edited.has(person.box.cleanId)) return null;
  const [height, width] = entry.imageHw;
  const [x, y, across, down, rotation] = lsRegions.place(person.box);
  const box = Float64Array.of((x / 100) * width, (y / 100) * height, ((x + across) / 100) * width, ((y + down) / 100) * height);
  if (rotation || box[2] - box[0] < SMALLEST_PX || box[3] - box[1] < SMALLEST_PX) return null;
  const keypoints = new Float64Array(2 * entry.count).fill(NaN);
  const fixed = new Float64Array(entry.count);
  const regions = new Map();
  for (const region of pointsOf(person)) {
    const joint = entry.joints[region.cleanId];
    if (joint === undefined || regions.has(joint)) return null;
    const at = live.get(region.cleanId) ?? lsRegions.pointOf(region);
    keypoints.set([(at.x / 100) * width, (at.y / 100) * height], 2 * joint);
    fixed[joint] = edited.has(region.cleanId) || isHeld(region) ? 1 : 0;
    regions.set(joint, region);
  }
  return {entry, person, regions, keypoints, fixed, box};
}

const isHeld = (region) => lsRegions.isTouched(region) || lsRegions.isLocked(region);

/** Regions that a pose moves, and where to, in percent of the photo. */
function movesOf({entry, person, regions, fixed}, pose) {
  const [height, width] = entry.imageHw;
  const percent = (value, length) => (100 * Math.min(Math.max(value, 0), length)) / length;
  const moves = [...regions]
    .filter(([joint]) => !fixed[joint])
    .map(([joint, region]) => {
      const [x, y] = pose.keypoints.slice(2 * joint, 2 * joint + 2);
      return {region, value: {x: percent(x, width), y: percent(y, height)}};
    });
  if (!isHeld(person.box)) {
    const [left, top, right, bottom] = pose.box.map((value, i) => percent(value, i % 2 ? height : width));
    moves.push({region: person.box, value: {x: left, y: top, width: right - left, height: bottom - top, rotation: 0}});
  }
  return moves;
}

const asScore = (value) => Math.round(Math.min(Math.max(value || 0, 0), 1) * 1e4) / 1e4;

/** A pose as the backend writes it: an item for each region of the person. */
function itemsOf(query, pose) {
  const {person, regions} = query;
  const moved = new Map(movesOf(query, pose).map(({region, value}) => [region, value]));
  const item = (region, type, score) => {
    const [x, y, width, height, rotation] = lsRegions.place(region);
    const value = moved.get(region) ?? (width === undefined ? {x, y} : {x, y, width, height, rotation});
    return {id: region.cleanId, type, parentID: lsRegions.parentId(region), value, score: asScore(score)};
  };
  const points = [...regions].map(([joint, region]) => item(region, "keypointlabels", pose.scores[joint]));
  return [...points, item(person.box, "rectanglelabels", pose.score)];
}
