/** Where our own things sit on the page: never on a button of Label Studio's, nor on what is being edited. */
import * as lsLayout from "../label_studio/layout.js";

const GAP_PX = 12; // between the chip and its neighbours in a bar
const TIGHT_PX = 4; // for the dot, which is what there is room for last
const STEP_PX = 16; // between the places that are tried for a dot outside the bars
const EDGE_PX = 8;

/**
 * The first place for one of several forms of a thing, the widest first; null where Label Studio's things are everywhere.
 *
 * @param forms list of {name, width, height}; the last one may also lie outside the bars.
 * @param ours the element, which is looked through.
 * @returns {name, left, top, width, height}, client px.
 */
export function findPlace(forms, ours) {
  const bars = [lsLayout.bottomBar(), lsLayout.header()].filter(Boolean);
  for (const form of forms) {
    const gap = form === forms.at(-1) ? TIGHT_PX : GAP_PX;
    for (const bar of bars) {
      const place = placeIn(bar, form, gap, ours);
      if (place) return place;
    }
  }
  return placeOutside(forms.at(-1), ours);
}

/** In the widest gap of a bar, at its left, upright in the middle. */
function placeIn(bar, form, gap, ours) {
  const {top, height} = bar.getBoundingClientRect();
  const gaps = lsLayout.gapsIn(bar).filter(([left, right]) => right - left >= form.width + 2 * gap);
  gaps.sort((a, b) => b[1] - b[0] - (a[1] - a[0]));
  for (const [left] of gaps) {
    const place = {...form, left: Math.round(left + gap), top: Math.round(top + (height - form.height) / 2)};
    if (lsLayout.isFree(place, ours, bar)) return place;
  }
  return null;
}

/** Anywhere along the edges of the window, from the lower left on. */
function placeOutside(form, ours) {
  const [right, bottom] = [innerWidth - form.width - EDGE_PX, innerHeight - form.height - EDGE_PX];
  const along = (end) => Array.from({length: Math.max(0, Math.floor((end - EDGE_PX) / STEP_PX)) + 1}, (_, i) => i * STEP_PX);
  const upwards = along(bottom).map((by) => bottom - by);
  const places = [
    ...upwards.map((top) => ({left: EDGE_PX, top})),
    ...upwards.map((top) => ({left: right, top})),
    ...along(right).map((left) => ({left: EDGE_PX + left, top: bottom})),
  ];
  return places.map((place) => ({...form, ...place})).find((place) => lsLayout.isFree(place, ours)) ?? null;
}

/** Put a panel beside the chip: towards the middle of the window, and wholly in it. */
export function beside(anchor, panel) {
  const {left, top, bottom} = anchor.getBoundingClientRect();
  const isLow = top > innerHeight / 2;
  const room = (isLow ? top : innerHeight - bottom) - 2 * EDGE_PX;
  Object.assign(panel.style, {maxHeight: `${Math.round(room)}px`, left: 0, top: 0});
  const width = panel.offsetWidth;
  const x = Math.min(Math.max(left, EDGE_PX), innerWidth - width - EDGE_PX);
  const y = isLow ? top - panel.offsetHeight - EDGE_PX : bottom + EDGE_PX;
  Object.assign(panel.style, {left: `${Math.round(x)}px`, top: `${Math.round(y)}px`});
}

/** Put a notice where it hides least: in the header if it fits, else in the corner that hides least of the photo. */
export function offTheWork(notice) {
  Object.assign(notice.style, {left: 0, top: 0});
  const {offsetWidth: width, offsetHeight: height} = notice;
  const stage = lsLayout.stageBox();
  const upper = (lsLayout.header()?.getBoundingClientRect().bottom ?? 0) + EDGE_PX;
  const lower = (lsLayout.bottomBar()?.getBoundingClientRect().top ?? innerHeight) - height - EDGE_PX;
  const right = innerWidth - width - EDGE_PX;
  const corners = [[EDGE_PX, lower], [right, lower], [right, upper], [EDGE_PX, upper]];
  const inHeader = headerPlace(width, height);
  const places = inHeader ? [inHeader, ...corners] : corners;
  const hidden = places.map(([left, top]) => overlap({left, top, width, height}, stage));
  const [left, top] = places[hidden.indexOf(Math.min(...hidden))];
  Object.assign(notice.style, {left: `${Math.round(left)}px`, top: `${Math.round(top)}px`});
}

function headerPlace(width, height) {
  const bar = lsLayout.header();
  const box = bar?.getBoundingClientRect();
  if (!box || box.height < height + 4) return null;
  const gap = lsLayout.gapsIn(bar).find(([left, right]) => right - left >= width + 2 * EDGE_PX);
  return gap ? [gap[0] + EDGE_PX, box.top + (box.height - height) / 2] : null;
}

/** Enter and Space are ours on our own buttons: Label Studio has hotkeys on them, which would keep them from pressing. */
export function pressOurs(root) {
  root.addEventListener("keydown", (event) => ["Enter", " "].includes(event.key) && event.stopPropagation());
}

function overlap(a, b) {
  if (!b) return 0;
  const width = Math.min(a.left + a.width, b.right) - Math.max(a.left, b.left);
  const height = Math.min(a.top + a.height, b.bottom) - Math.max(a.top, b.top);
  return Math.max(width, 0) * Math.max(height, 0);
}
