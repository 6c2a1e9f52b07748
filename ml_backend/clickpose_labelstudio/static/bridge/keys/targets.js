/** Whom the keys mean: what is under the mouse, else what is selected. */
import * as display from "../drawing/display.js";
import * as lsRegions from "../label_studio/regions.js";
import {ownerId, personUnder, personsOf, regionsOf} from "../pose/persons.js";
import {pointer} from "./pointer.js";

/** What is under the mouse, as of personUnder. */
function under(view, persons) {
  return personUnder(view, pointer(), persons, display.get("hovered"));
}

/** The persons meant: the one under the mouse, with all that are selected if it is one of several; else the selected. */
export function persons(view) {
  const all = personsOf(view.annotation);
  const here = under(view, all);
  const ids = new Set(lsRegions.selected(view.annotation).map(ownerId));
  const selected = [...all.values()].filter(({id}) => ids.has(id));
  if (!here) return selected;
  if (!here.person) return [];
  return selected.length > 1 && selected.includes(here.person) ? selected : [here.person];
}

/** Persons of whom nothing is shown. */
export function hiddenPersons({annotation}) {
  return [...personsOf(annotation).values()].filter((person) => !regionsOf(person).some(lsRegions.isShown));
}

/** The keypoint under the mouse, else the selected one, else null. */
export function keypoint(view) {
  const selected = lsRegions.selected(view.annotation).filter(lsRegions.isKeypoint);
  return under(view)?.keypoint ?? (selected.length === 1 ? selected[0] : null);
}
