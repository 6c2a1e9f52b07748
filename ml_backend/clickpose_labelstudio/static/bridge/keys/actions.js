/** What the keys of bindings.js do, each as one step of the history, and what they say; all take the view. */
import * as display from "../drawing/display.js";
import {count, nameOf} from "../pose/words.js";
import {exchange, pairsOf} from "../edits/exchange.js";
import * as isolation from "./isolation.js";
import * as lsHistory from "../label_studio/history.js";
import * as lsRegions from "../label_studio/regions.js";
import * as notices from "../surface/notices.js";
import {personsOf, pointsOf, regionsOf} from "../pose/persons.js";
import * as pictures from "../surface/pictures.js";
import * as skeleton from "../pose/skeleton.js";
import * as targets from "./targets.js";
import * as wholePersons from "../edits/whole_persons.js";

const MOUSE = ["regions", "persons", "places", "stage"];
const CHANGING = [...MOUSE, "editing", "history"];
const EXCHANGING = [...CHANGING, "moving", "accepting", "choices", "choosing"];

/** What an action needs of Label Studio's page, see label_studio/probes.js; without it, its key does nothing. */
export const NEEDS = {
  acceptPerson: [...CHANGING, "accepting"],
  deletePerson: [...CHANGING, "deleting"],
  exchangeLimb: EXCHANGING,
  exchangePair: EXCHANGING,
  exchangePerson: EXCHANGING,
  hidePerson: [...MOUSE, "hiding"],
  isolatePerson: [...MOUSE, "hiding"],
  lockPerson: [...MOUSE, "editing", "hiding"],
  nextDoubtful: [...MOUSE, "scores", "selecting", "zooming"],
  nextProblem: [...MOUSE, "selecting", "zooming"],
  previousDoubtful: [...MOUSE, "scores", "selecting", "zooming"],
  toggleVisibility: [...CHANGING, "choices", "choosing"],
};

const NOBODY = "No person is under the mouse.";
const NO_JOINT = "No joint is under the mouse.";

const say = (text) => notices.say(text, {kind: "key"});

/** Do something with the persons meant; say so where there are none. */
function withPersons(view, act) {
  const persons = targets.persons(view);
  if (persons.length) act(persons);
  else say(NOBODY);
}

const whom = (persons) => (persons.length === 1 ? "Person" : count(persons.length, "person"));

/** Count all regions of persons as checked by a human; what is locked stays as it is. */
export function acceptPerson(view) {
  withPersons(view, (persons) => {
    const regions = persons.flatMap(regionsOf).filter((region) => !lsRegions.isTouched(region));
    const free = regions.filter((region) => !lsRegions.isLocked(region));
    const locked = regions.length - free.length;
    if (free.length) lsHistory.asOneStep(view.annotation, () => free.forEach(lsRegions.accept));
    const nothing = locked ? "Nothing accepted" : `${whom(persons)} accepted already`;
    const done = free.length ? `${whom(persons)} accepted` : nothing;
    say(locked ? `${done}: ${locked} locked stay as they are.` : `${done}.`);
  });
}

export function toggleVisibility(view) {
  const region = targets.keypoint(view);
  if (!region) return say(NO_JOINT);
  const now = lsRegions.isOccluded(region) ? "occluded" : "visible";
  if (lsRegions.isLocked(region)) return say(`${nameOf(region)} is locked: it stays ${now}.`);
  if (!lsRegions.occludedChoice(region)) return say("This project's configuration has no choice for occluded joints.");
  lsHistory.asOneStep(view.annotation, () => lsRegions.toggleOccluded(region));
  return say(`${nameOf(region)}: ${lsRegions.isOccluded(region) ? "occluded" : "visible"}.`);
}

export function deletePerson(view) {
  withPersons(view, (persons) => wholePersons.remove(view.annotation, persons));
}

/** Hide persons; where nobody who is shown is meant, show all hidden ones again. */
export function hidePerson(view) {
  const hidden = targets.hiddenPersons(view);
  const persons = targets.persons(view).filter((person) => !hidden.includes(person));
  if (persons.length) {
    wholePersons.show(persons, false);
    say(`${whom(persons)} hidden. Shift+H beside everybody shows all again.`);
  } else if (hidden.length) {
    wholePersons.show(hidden, true);
    say(`${whom(hidden)} shown again.`);
  } else say(NOBODY);
}

export function lockPerson(view) {
  withPersons(view, (persons) => {
    const isLocked = !persons.flatMap(regionsOf).every((region) => region.locked);
    wholePersons.lock(persons, isLocked);
    const joints = count(persons.flatMap(pointsOf).length, "joint");
    say(`${whom(persons)} ${isLocked ? "locked" : "unlocked"}, with ${joints}.`);
  });
}

export function isolatePerson(view) {
  if (isolation.isOn(view)) {
    isolation.end();
    say("Everybody is shown again.");
    return;
  }
  const [person] = targets.persons(view);
  if (!person) return say(NOBODY);
  isolation.begin(view, person);
  return say("This person alone. Shift+I shows everybody again.");
}

export function exchangePerson(view) {
  withPersons(view, ([person]) => exchangeJoints(view, person, [...person.keypoints.keys()], "the whole person"));
}

export function exchangePair(view) {
  withJoint(view, (person, joint) => exchangeJoints(view, person, [joint]));
}

export function exchangeLimb(view) {
  withJoint(view, (person, joint) => exchangeJoints(view, person, skeleton.limbFrom(joint)));
}

/** Do something with the joint meant, one that has another side. */
function withJoint(view, act) {
  const region = targets.keypoint(view);
  const joint = region && skeleton.joint(region.labelName);
  const person = region && personsOf(view.annotation).get(lsRegions.parentId(region));
  if (!region) say(NO_JOINT);
  else if (!person) say(`This ${nameOf(region)} belongs to nobody.`);
  else if (!joint || !skeleton.mirror(joint)) say(`${nameOf(region)} has no other side.`);
  else act(person, joint);
}

function exchangeJoints({annotation}, person, joints, what = null) {
  const pairs = pairsOf(person, joints);
  const locked = pairs.flat().filter((region) => region && lsRegions.isLocked(region));
  if (!pairs.length) return say("There is nothing to exchange.");
  if (locked.length) return say(`${nameOf(locked[0])} is locked: nothing is exchanged.`);
  const parts = [...new Set(pairs.map(([region]) => nameOf(region).replace(/(^| )(left|right)( |$)/i, "").trim()))];
  exchange(annotation, pairs);
  return say(`Left and right exchanged: ${what ?? parts.join(", ")}.`);
}

const toggle = (key) => display.set(key, !display.get(key));

export function toggleBones() {
  toggle("bones");
}

export function toggleNames() {
  toggle("names");
}

export function toggleFade() {
  toggle("fadePredicted");
}

/** The page of pictures and keys. */
export function toggleHelp() {
  pictures.toggle();
}
