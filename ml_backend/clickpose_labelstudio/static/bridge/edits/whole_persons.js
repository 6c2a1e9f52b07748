/**
 * A person is one thing: whoever deletes, hides or locks the box means the joints, too, as one step of the history.
 *
 * So it is by our keys, by Label Studio's own and from its outliner. A locked region keeps its person from being deleted.
 */
import * as actions from "../label_studio/region_actions.js";
import * as lsHistory from "../label_studio/history.js";
import * as lsPage from "../label_studio/page.js";
import * as lsRegions from "../label_studio/regions.js";
import {can, safely} from "../label_studio/probes.js";
import * as notices from "../surface/notices.js";
import {personsOf, pointsOf, regionsOf} from "../pose/persons.js";
import {count, nameOf} from "../pose/words.js";

const states = new WeakMap(); // annotation -> region id -> its state; for regions that an undo brings back

/** See what is done to boxes from now on. */
export function listen() {
  actions.connect({before, travel});
  for (const type of ["pointerdown", "keydown", "focusin"]) window.addEventListener(type, safely(watch), true);
}

function watch() {
  const annotation = lsPage.view()?.annotation;
  if (annotation && can("following", "hiding", "deleting", "history", "persons")) actions.watch(annotation);
}

/** What follows from an action on regions; null where no box is among them. */
function before(annotation, does, regions) {
  if (!lsPage.isEditable(annotation)) return null;
  if (does === "delete") remember(annotation);
  const all = personsOf(annotation);
  const persons = regions.filter(lsRegions.isBox).map((box) => all.get(box.cleanId));
  if (!persons.length) return null;
  if (does === "delete") return beforeDeleting(annotation, persons);
  return {refused: new Set(), after: () => persons.forEach(does === "hide" ? hideAsItsBox : lockAsItsBox)};
}

function beforeDeleting(annotation, persons) {
  const locked = new Map(persons.map((person) => [person, regionsOf(person).filter(lsRegions.isLocked)]));
  const free = persons.filter((person) => !locked.get(person).length);
  const kept = persons.filter((person) => locked.get(person).length);
  const after = () => {
    for (const region of free.flatMap(pointsOf)) {
      if (lsRegions.isThere(annotation, region)) lsRegions.destroy(region);
    }
    const kepts = kept.map((person) => sayKept(person, locked.get(person)));
    notices.say([sayDeleted(free), ...new Set(kepts)].filter(Boolean).join(" "), {kind: "key"});
  };
  return {refused: new Set(kept.map(({box}) => box)), after};
}

function sayDeleted(persons) {
  if (!persons.length) return "";
  const joints = count(persons.flatMap(pointsOf).length, "joint");
  const whom = persons.length === 1 ? "Person" : count(persons.length, "person");
  return `${whom} deleted, with ${joints}. Ctrl+Z undoes it.`;
}

function sayKept({box}, locked) {
  const what = locked.includes(box) ? "box is" : locked.length === 1 ? `${nameOf(locked[0])} is` : "joints are";
  return `A person whose ${what} locked is not deleted.`;
}

function hideAsItsBox(person) {
  pointsOf(person).forEach((region) => lsRegions.setShown(region, lsRegions.isShown(person.box)));
}

function lockAsItsBox(person) {
  pointsOf(person).forEach((region) => lsRegions.setLocked(region, person.box.locked));
}

/** Regions that undo or redo brings back are made anew: they are hidden or locked as they were, and boxes lie behind. */
function travel(annotation) {
  remember(annotation);
  const there = new Set(annotation.regions);
  return () => {
    const known = states.get(annotation);
    const back = annotation.regions.filter((region) => !there.has(region));
    back.forEach((region) => lsRegions.restoreLooks(region, {...known.get(region.cleanId), inSelection: false}));
    lsRegions.sendBoxesToBack(annotation);
  };
}

function remember(annotation) {
  const known = states.get(annotation) ?? new Map();
  annotation.regions.forEach((region) => known.set(region.cleanId, lsRegions.looksOf(region)));
  states.set(annotation, known);
}

/** Delete persons as one step; who has something locked stays, and that is said. */
export function remove(annotation, persons) {
  remember(annotation);
  const {refused, after} = beforeDeleting(annotation, persons);
  actions.quietly(() =>
    lsHistory.asOneStep(annotation, () => {
      const boxes = persons.map(({box}) => box).filter((box) => box && !refused.has(box));
      boxes.forEach(lsRegions.destroy);
      after();
    }),
  );
}

/** Show or hide persons, box and joints. */
export function show(persons, isShown) {
  actions.quietly(() => persons.flatMap(regionsOf).forEach((region) => lsRegions.setShown(region, isShown)));
}

export function lock(persons, isLocked) {
  actions.quietly(() => persons.flatMap(regionsOf).forEach((region) => lsRegions.setLocked(region, isLocked)));
}
