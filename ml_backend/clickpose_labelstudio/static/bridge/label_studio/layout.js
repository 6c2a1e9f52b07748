/** How Label Studio's page is laid out: its bars, what must not be covered, and when that changes. */

const BOTTOM_BAR = ".lsf-bottombar";
const HEADER = ".lsf-menu-header, .ls-menu-header";
const CONTROLS = `button, a, input, select, textarea, label, canvas, img, .lsf-label, [contenteditable],
  [role="button"], [role="checkbox"], [role="menuitem"], [role="switch"], [role="tab"], [tabindex="0"]`;
const SAMPLE_PX = 16; // less than any button is wide
const SETTLED_MS = 150; // after the last change of the page

const TASK_ROW = ".lsf-table__row-wrapper";
const IN_ROW = "button, a, input, label";

/** The row of the list of tasks whose photo a click on an element would open, or null. */
export const taskRowOf = (element) => (element.closest?.(IN_ROW) ? null : element.closest?.(TASK_ROW) ?? null);

export const bottomBar = () => document.querySelector(BOTTOM_BAR);
export const header = () => document.querySelector(HEADER);

/** Client rectangle of the photo's stage, or null. */
export function stageBox() {
  const image = window.Htx?.annotationStore?.selected?.objects?.find((object) => object.type === "image");
  return image?.stageRef?.content?.getBoundingClientRect() ?? null;
}

/** Whether Label Studio shows itself dark. */
export const DARK = `[data-color-scheme="dark"]`;

/** Spans (left, right) of a bar, client px, in which nothing of Label Studio's lies. */
export function gapsIn(bar) {
  const box = bar.getBoundingClientRect();
  const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  const isSolid = (element) => !element.childElementCount || element.matches(CONTROLS) || hasText(element);
  const taken = [...bar.querySelectorAll("*")].filter(isSolid).map((element) => element.getBoundingClientRect());
  const spans = taken.filter((rect) => rect.width && rect.height).sort((a, b) => a.left - b.left);
  const gaps = [];
  let reached = box.left;
  for (const {left, right} of spans) {
    if (left > reached) gaps.push([reached, Math.min(left, box.right)]);
    reached = Math.max(reached, right);
  }
  if (box.right > reached) gaps.push([reached, box.right]);
  return gaps;
}

/** Whether nothing that can be used lies below a rectangle, on `ground` if given; what is `ours` is looked through. */
export function isFree({left, top, width, height}, ours, ground = null) {
  const isFreeAt = (x, y) => {
    const theirs = document.elementsFromPoint(x, y).filter((element) => !ours.contains(element));
    const upper = ground ? theirs.slice(0, theirs.indexOf(ground)) : theirs;
    if (!theirs.length || (ground && !theirs.includes(ground))) return false;
    if (ground && upper.some((element) => !ground.contains(element))) return false; // a panel or a menu is open there
    return !upper.some((element) => element.matches(CONTROLS)) && getComputedStyle(theirs[0]).cursor !== "pointer";
  };
  return samples(left, width).every((x) => samples(top, height).every((y) => isFreeAt(x, y)));
}

/** Places from one end of a line to the other, close enough for no button to lie between two of them. */
function samples(start, length) {
  const count = Math.max(1, Math.ceil(length / SAMPLE_PX));
  return Array.from({length: count + 1}, (_, i) => start + 0.5 + ((length - 1) * i) / count);
}

/** Call `changed` when the bars may have moved, until the function that is returned is called. Costs nothing at rest. */
export function watch(changed) {
  let timer = 0;
  let seen = [];
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => (observeBars(), changed()), SETTLED_MS);
  };
  const sizes = new ResizeObserver(soon);
  const observeBars = () => {
    const now = [bottomBar(), header()].filter(Boolean);
    const parts = now.flatMap((bar) => [bar, ...bar.querySelectorAll(":not(svg *)")]);
    if (parts.length === seen.length && parts.every((part, i) => part === seen[i])) return;
    sizes.disconnect();
    sizes.observe(document.documentElement);
    parts.forEach((part) => sizes.observe(part));
    seen = parts;
  };
  const inBars = (node) => node === document.body || bottomBar()?.contains(node) || header()?.contains(node);
  const mutations = new MutationObserver((records) => {
    const isGone = seen.some((part) => !part.isConnected) || !seen.length !== !(bottomBar() || header());
    if (isGone || records.some((record) => inBars(record.target))) soon();
  });
  mutations.observe(document.body, {childList: true, subtree: true});
  window.addEventListener("pointerup", soon, true); // a panel may have been moved or folded
  observeBars();
  return () => {
    clearTimeout(timer);
    sizes.disconnect();
    mutations.disconnect();
    window.removeEventListener("pointerup", soon, true);
  };
}
