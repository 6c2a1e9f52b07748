/** What is shown of the poses, and how; whoever changes it needs not care about drawing. */
import * as frames from "./frames.js";

const shown = {
  bones: true,
  names: false, // of the joints
  fadePredicted: false, // what no human has placed
  hovered: null, // id of the person under the mouse
  marked: new Set(), // ids of the regions that an action under the mouse would take
};

export const get = (key) => shown[key];

/** Show something else from now on. */
export function set(key, value) {
  if (!(key in shown)) throw new Error(`There is nothing called ${key} to show`);
  if (isSame(shown[key], value)) return;
  shown[key] = value;
  frames.invalidate();
}

function isSame(a, b) {
  if (!(a instanceof Set && b instanceof Set)) return a === b;
  return a.size === b.size && [...a].every((member) => b.has(member));
}
