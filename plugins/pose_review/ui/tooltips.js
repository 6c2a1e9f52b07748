/** Tooltips of people without lists of 17 numbers and stored histories: those are hidden until a user shows them. */

const hiddenOf = (dataset, field) => `fo-hiddenLabels-${dataset}-${field}`; // where the app keeps what a user hides
const CHANGED = "fo-hide-label-change"; // by which its tooltips notice

/** Hide attributes of fields that the user of this browser has not chosen about. */
export function quieten({ dataset, fields, attributes }) {
  const undecided = fields.map((field) => hiddenOf(dataset, field)).filter((key) => localStorage.getItem(key) === null);
  undecided.forEach((key) => localStorage.setItem(key, attributes.join(",")));
  if (undecided.length) window.dispatchEvent(new CustomEvent(CHANGED));
}
