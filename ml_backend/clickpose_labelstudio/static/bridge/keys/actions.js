/** What the keys of bindings.js do: each takes the view, and changes it as one step of the history. */
import * as display from "../drawing/display.js";
import * as lsHistory from "../label_studio/history.js";
import * as lsRegions from "../label_studio/regions.js";
import {ownerId, personUnder, personsOf, regionsOf} from "../pose/persons.js";
import {pointer} from "./pointer.js";

const MOUSE = ["regions", "persons", "places", "stage"];

/** What an action needs of Label Studio's page, see label_studio/probes.js; without it, its key does nothing. */
export const NEEDS = {
  toggleVisibility: [...MOUSE, "history", "choices", "choosing"],
  acceptPerson: [...MOUSE, "history", "accepting"],
};

/** The person under the mouse, else the selected one, else null. */
function targetPerson({annotation, ...view}) {
  const persons = personsOf(annotation);
  const under = personUnder({annotation, ...view}, pointer(), persons, display.get("hovered"));
  if (under) return under.person;
  const selected = lsRegions.selected(annotation).find((region) => persons.has(ownerId(region)));
  return selected ? persons.get(ownerId(selected)) : null;
}

/** The keypoint under the mouse, else the selected one, else null. */
function targetKeypoint(view) {
  const selected = lsRegions.selected(view.annotation).find(lsRegions.isKeypoint);
  return personUnder(view, pointer(), undefined, display.get("hovered"))?.keypoint ?? selected ?? null;
}

export function toggleVisibility(view) {
  const region = targetKeypoint(view);
  if (region) lsHistory.asOneStep(view.annotation, () => lsRegions.toggleOccluded(region));
}

/** Count all regions of a person as checked by a human. */
export function acceptPerson(view) {
  const person = targetPerson(view);
  if (!person) return;
  lsHistory.asOneStep(view.annotation, () => regionsOf(person).forEach(lsRegions.accept));
}

export function toggleBones() {
  display.set("bones", !display.get("bones"));
}
