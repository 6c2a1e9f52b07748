/**
 * The rest of the person follows under the moving mouse. Only shapes move, no region: what counts is decided when the
 * mouse is released. One decoding at a time, of the newest place of the mouse.
 */
import {diagnostics} from "../config.js";
import * as lsLayers from "../label_studio/layers.js";
import * as lsPage from "../label_studio/page.js";
import * as lsShapes from "../label_studio/shapes.js";
import {can} from "../label_studio/probes.js";
import * as people from "./people.js";

const LINGER_MS = 4000; // that shapes stay where they were shown, at most, after the mouse was released

let isBusy = false;
let isAsked = false; // the mouse has moved since the latest decoding began
let movedAt = 0; // when the mouse has moved last
let dragging = null; // the annotation in which a joint is being dragged
let ending = 0; // timer

/** The mouse has moved with its button down. */
export function follow(annotation) {
  if (!can("previewing")) return;
  clearTimeout(ending);
  dragging = annotation;
  isAsked = true;
  movedAt = performance.now();
  if (!isBusy) run();
}

async function run() {
  isBusy = true;
  try {
    while (isAsked && dragging) {
      await new Promise((done) => setTimeout(done, 0)); // Konva moves the joint after this event
      isAsked = false;
      if (dragging) await step(dragging);
    }
  } finally {
    isBusy = false;
  }
}

/** The one joint that is being dragged, {region, place}; null where there is none that others may follow. */
function theDragged(annotation) {
  const dragged = lsShapes.dragged(annotation);
  return dragged.length === 1 && !lsPage.asksByItself(dragged[0].region) ? dragged[0] : null;
}

async function step(annotation) {
  const dragged = theDragged(annotation);
  if (!dragged) return;
  const {region, place} = dragged;
  const since = movedAt;
  const moves = await people.foresee(annotation, region, place);
  if (!moves || dragging !== annotation || !lsPage.isSelected(annotation)) return;
  moves.forEach(({region: other, value}) => lsShapes.showAt(other, value));
  if (can("gathering")) lsLayers.gather(annotation, [region, ...moves.map(({region: other}) => other)]);
  diagnostics.instant.previews += 1;
  diagnostics.instant.delays = [...diagnostics.instant.delays.slice(-199), performance.now() - since];
}

/** The mouse has been released: what is shown stays until the answer has been applied. */
export function release() {
  const dragged = dragging && theDragged(dragging);
  if (dragged) people.hasten(dragging, dragged.region, dragged.place);
  dragging = null;
  clearTimeout(ending);
  ending = setTimeout(end, LINGER_MS);
}

/** Show all regions where they are. */
export function end() {
  clearTimeout(ending);
  dragging = null;
  lsShapes.showAsTheyAre();
  lsLayers.end();
}
