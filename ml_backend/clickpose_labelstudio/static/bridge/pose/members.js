/** What belongs to whom in an annotation, told apart anew only when a region has changed. */
import {stateOf} from "../label_studio/changes.js";
import {ownerless, personsOf} from "./persons.js";

const members = new WeakMap(); // state of an annotation's regions -> what belongs to whom

/** Persons and nobody's joints of an annotation; the same object until a region changes, where that can be told. */
export function membersOf(annotation) {
  const state = stateOf(annotation.areas);
  const known = state && members.get(state);
  if (known) return known;
  const found = {persons: personsOf(annotation), loose: ownerless(annotation)};
  if (state) members.set(state, found);
  return found;
}
