/**
 * A joint that has just been placed, by Label Studio's click or Ctrl+click, goes to the person who is meant there.
 *
 * Who has that joint already gets it moved to that place, in the same step of the history: a second one would be left out
 * of every export. Nobody being meant there, the backend finds the person; if it does not, that is said.
 */
import * as lsPage from "../label_studio/page.js";
import {can} from "../label_studio/probes.js";
import * as lsRegions from "../label_studio/regions.js";
import * as notices from "../surface/notices.js";
import {nameOf} from "../pose/words.js";
import {isInBox, ownerId, ownerless, personUnder, personsOf} from "../pose/persons.js";
import * as skeleton from "../pose/skeleton.js";

const KIND = "key"; // of the notices: a new one takes the place of the one before

/**
 * Give joints, regions without a person, to those who are meant; what a smart click does is the backend's.
 *
 * Returns whether anything is left of the regions: false where all of them came to nothing, the joints being locked.
 */
export function giveToPersons(view, regions) {
  const {annotation} = view;
  if (!can("stage", "persons", "joining", "deleting", "moving", "accepting")) return true;
  const joints = ownerless(annotation).filter((r) => regions.includes(r) && !r.isDrawing && !lsPage.asksByItself(r));
  let refused = 0;
  for (const region of joints) {
    const joint = skeleton.joint(region.labelName);
    const person = meant(view, region, joint);
    const present = person?.keypoints.get(joint);
    if (present) refused += replace(annotation, present, region) ? 0 : 1;
    else if (person) lsRegions.setParent(region, person.box ?? {id: person.id});
  }
  return refused < regions.length;
}

/** Who gets a joint: of those who lie there one who lacks it, else the one under the mouse; null for nobody. */
function meant(view, region, joint) {
  const persons = personsOf(view.annotation);
  const at = lsRegions.clientPoint(view, region);
  const under = personUnder(view, at, persons, null, region)?.person ?? null;
  const mayGet = (person) => !person.keypoints.has(joint) && (person === under || isInBox(view, person, at));
  const lacking = [...persons.values()].filter(mayGet);
  const selected = new Set(lsRegions.selected(view.annotation).map(ownerId));
  const chosen = lacking.find(({id}) => selected.has(id)) ?? lacking.find((person) => person === under);
  return chosen ?? (lacking.length === 1 ? lacking[0] : under);
}

/** Move the joint that a person has to where it has been placed anew; return whether it could be moved. */
function replace(annotation, present, placed) {
  const at = lsRegions.pointOf(placed);
  lsRegions.remove(annotation, placed);
  if (lsRegions.isLocked(present)) {
    notices.say(`${nameOf(present)} of this person is locked: it stays where it is.`, {kind: KIND});
    return false;
  }
  lsRegions.moveTo(present, at);
  lsRegions.accept(present);
  notices.say(`This person has ${nameOf(present)} already: it has been moved here. Ctrl+Z undoes it.`, {kind: KIND});
  return true;
}

/** Say that joints are nobody's after all. Where there is no person at all, an export makes one of them. */
export function tellLoose(annotation, ids) {
  if (!lsPage.isSelected(annotation)) return;
  const persons = [...personsOf(annotation).values()];
  const loose = ownerless(annotation).find((region) => ids.includes(region.cleanId));
  if (!loose || !persons.length) return;
  const isLacking = persons.some(({keypoints}) => !keypoints.has(skeleton.joint(loose.labelName)));
  const hint = isLacking ? "it is far from everybody who lacks one" : "everybody has one";
  notices.say(`This ${nameOf(loose)} belongs to nobody: ${hint}. An export leaves it out.`, {kind: KIND});
}
