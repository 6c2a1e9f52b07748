/** Whether a key press is meant for something else: a text field, an open dialog, a photo opened over the panel. */
export function isElsewhere(event, panel) {
  if (event.defaultPrevented || !panel) return true;
  const target = event.target;
  if (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName)) return true;
  return isCovered(panel);
}

/** Whether something lies over a panel. */
export function isCovered(panel) {
  const covers = [...document.querySelectorAll("#modal [data-cy=modal], [role=dialog], [role=listbox]")];
  return covers.some((cover) => !cover.contains(panel));
}

/** The same for keys without Ctrl, Alt and the Mac's key. */
export const belongsElsewhere = (event, panel) =>
  event.ctrlKey || event.metaKey || event.altKey || isElsewhere(event, panel);
