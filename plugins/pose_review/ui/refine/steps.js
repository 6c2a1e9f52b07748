/**
 * The steps of a photo, to be undone and done again one by one. A step is a correction of one person, {key, id, before,
 * after, says}, without `before` for a person that was added and without `after` for one that was deleted; or a save,
 * {key, receipt, says}, see saving.js. `future` has what was undone, the last one last.
 */

/** People after a step was taken back. */
export const undone = (people, {id, before, after, place}) => put(people, id, after, before, place);

/** People after a step was done again. */
export const redone = (people, {id, before, after, place}) => put(people, id, before, after, place);

function put(people, id, from, to, place) {
  if (from && to) return people.map((person) => (person.id === id ? to : person));
  if (!to) return people.filter((person) => person.id !== id);
  const rest = people.filter((person) => person.id !== id);
  return [...rest.slice(0, place), to, ...rest.slice(place)];
}

/**
 * History and people once the answer to a step has come: the person of that step follows, and so does what was made of it
 * since. A step that was undone meanwhile is done again with its answer.
 */
export function amended({past, future, people}, key, merge) {
  const renewed = new Map(); // version -> the person instead of it
  const renew = (other) => {
    const isAsked = other.key === key;
    if (!isAsked && !renewed.has(other.before?.v)) return other;
    const before = renewed.get(other.before?.v) ?? other.before;
    const after = other.after && merge(other.after);
    if (after) renewed.set(other.after.v, after);
    return {...other, before, after, ...(isAsked && {isAnswered: true})};
  };
  const all = [...past, ...[...future].reverse()].map(renew);
  return {
    past: all.slice(0, past.length),
    future: all.slice(past.length).reverse(),
    people: people.map((person) => renewed.get(person.v) ?? person),
  };
}

/** The same history where a person is called otherwise. */
export function renamed({past, future}, ids) {
  const rename = (step) => (step.id in ids ? {
    ...step, id: ids[step.id],
    before: step.before && {...step.before, id: ids[step.id]},
    after: step.after && {...step.after, id: ids[step.id]},
  } : step);
  return {past: past.map(rename), future: future.map(rename)};
}
