/**
 * What is not saved, kept for this tab of the browser: it survives another photo, a closed panel and a reload of the page.
 *
 * A draft: {past, future, people, stored: {label id: {v, mark}}}.
 */
const PREFIX = "clickpose-refine";

const keyOf = ({dataset, field, sample_id: sampleId}) => [PREFIX, dataset, field, sampleId].join("|");

export function keep(photo, draft) {
  try {
    if (draft.past.length || draft.future.length) sessionStorage.setItem(keyOf(photo), JSON.stringify(draft));
    else sessionStorage.removeItem(keyOf(photo));
  } catch {
    // full, or forbidden by the browser: then what is not saved ends with the page
  }
}

/**
 * A photo's people with what was kept of them.
 *
 * @param photo as Python tells it; `stored`: label id -> person as it is in the dataset now.
 * @returns {past, future, people, stored, lost}; `lost` counts the steps of people whom somebody else changed meanwhile.
 */
export function restore(photo, stored) {
  const draft = read(photo);
  const fresh = [...stored.values()];
  if (!draft) return {past: [], future: [], people: fresh, stored, lost: 0};
  const touched = new Set([...draft.past, ...draft.future].map(({id}) => id).filter(Boolean));
  const isOther = (id) => stored.get(id)?.mark !== draft.stored[id]?.mark;
  const others = new Set([...touched].filter(isOther));
  const isKept = (step) => (step.receipt ? !others.size : !others.has(step.id));
  const [past, future] = [draft.past.filter(isKept), draft.future.filter(isKept)];
  const own = new Map(draft.people.filter(({id}) => touched.has(id) && !others.has(id)).map((person) => [person.id, person]));
  const versions = new Map(stored);
  for (const id of touched) {
    if (stored.has(id) && !others.has(id)) versions.set(id, {...stored.get(id), v: draft.stored[id].v});
  }
  const isMine = (id) => touched.has(id) && !others.has(id);
  const people = [...versions.values()].flatMap((person) => (isMine(person.id) ? own.get(person.id) ?? [] : person));
  const added = [...own.values()].filter(({id}) => !stored.has(id));
  const lost = draft.past.length + draft.future.length - past.length - future.length;
  return {past, future, people: [...people, ...added], stored: versions, lost};
}

function read(photo) {
  try {
    return JSON.parse(sessionStorage.getItem(keyOf(photo)));
  } catch {
    return null;
  }
}
