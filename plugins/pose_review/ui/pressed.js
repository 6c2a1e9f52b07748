/** Whom a key press is meant for, where several things on the page listen. */
const PANEL = "[data-cy^=panel-content]";
const listening = new Set(); // elements of panels that take keys
let latest = null; // the panel that the mouse was in last

const look = ({target}) => (latest = target.closest?.(PANEL) ?? latest);
for (const type of ["pointermove", "pointerdown"]) window.addEventListener(type, look, {capture: true, passive: true});

/** Let an element's panel take keys until the returned function is called; `element()` gives it. */
export function takeKeys(element) {
  listening.add(element);
  return () => listening.delete(element);
}

/** Whether the mouse was last in another panel that takes keys: Delete must not delete there. */
function isOfAnother(panel) {
  const boxes = [...listening].map((element) => element()?.closest(PANEL)).filter((box) => box?.offsetParent);
  return latest !== panel.closest(PANEL) && boxes.includes(latest);
}

/** Whether a key press is meant for something else: a text field, an open dialog, a photo opened over it, another panel. */
export function isElsewhere(event, panel) {
  if (event.defaultPrevented || !panel || isOfAnother(panel)) return true;
  const target = event.target;
  if (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName)) return true;
  return isCovered(panel);
}

/** Whether something lies over a panel. */
export function isCovered(panel) {
  const covers = [...document.querySelectorAll("#modal [data-cy=modal], [role=dialog], [role=listbox]")];
  return covers.some((cover) => !cover.contains(panel));
}

/** The same for keys without Ctrl, Alt and the Mac's key, and for letters without Shift: with it they mean other things. */
export const belongsElsewhere = (event, panel) =>
  event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && /^[a-z]$/i.test(event.key)) || isElsewhere(event, panel);
