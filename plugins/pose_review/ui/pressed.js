/** Whether a key press is meant for something else: a text field, an open dialog, a photo opened over the panel. */
export function belongsElsewhere(event, panel) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !panel) return true;
  const target = event.target;
  if (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName)) return true;
  const covers = [...document.querySelectorAll("#modal [data-cy=modal], [role=dialog], [role=listbox]")];
  return covers.some((cover) => !cover.contains(panel));
}
