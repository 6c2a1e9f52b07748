/** A tint for each person, so that neighbours in a crowd are told apart. */

// Neither blue, amber nor red, which tell sides and doubt; each differs from the others in lightness, too.
export const TINTS = ["#7ce8a4", "#c79bff", "#f4f1e4", "#0fb5a5", "#c3e02b", "#9fe3ff", "#8f7be8", "#d8b48a"];

const given = new WeakMap(); // the picture that persons are on -> person id -> index of the tint

/**
 * Person id -> tint. Who has one keeps it; a new person gets the one that is furthest from its neighbours'.
 *
 * @param owner what the persons belong to, an annotation.
 * @param persons id, and center {x, y} in any unit, of each.
 */
export function tintsOf(owner, persons) {
  if (!given.has(owner)) given.set(owner, new Map());
  const indices = given.get(owner);
  const places = new Map(persons.map(({id, center}) => [id, center]));
  for (const {id, center} of persons) {
    if (!indices.has(id)) indices.set(id, choose(center, indices, places));
  }
  return new Map(persons.map(({id}) => [id, TINTS[indices.get(id)]]));
}

/** The tint whose nearest bearer is furthest away; of equal ones the first. */
function choose(center, indices, places) {
  const nearest = TINTS.map(() => Infinity);
  for (const [id, index] of indices) {
    const other = places.get(id);
    if (other) nearest[index] = Math.min(nearest[index], Math.hypot(other.x - center.x, other.y - center.y));
  }
  return nearest.indexOf(Math.max(...nearest));
}
