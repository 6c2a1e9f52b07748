/** Who is under the mouse: that person stands in front, and the joint that is meant is the one that is caught. */
import * as display from "./display.js";
import * as lsPage from "../label_studio/page.js";
import * as lsProbes from "../label_studio/probes.js";
import * as lsRegions from "../label_studio/regions.js";
import * as lsShapes from "../label_studio/shapes.js";
import * as scene from "./scene.js";
import {membersOf} from "../pose/members.js";
import {personUnder} from "../pose/persons.js";

const NEAR_PX = 16; // further away than any joint is caught
let pointer = null; // client pixels
let isAsked = false;

let tell = () => {};

/** Watch the mouse from now on; `approached(annotation, id)` is called when it comes to another person, or to nobody. */
export function listen(approached) {
  tell = approached;
  const options = {capture: true, passive: true};
  for (const type of ["pointermove", "wheel"]) window.addEventListener(type, move, options); // which zooms
  window.addEventListener("pointerdown", lsProbes.safely(press), options);
  for (const end of ["pointerup", "pointercancel", "blur"]) window.addEventListener(end, () => scene.press(false), options);
  document.documentElement.addEventListener("pointerleave", () => display.set("hovered", null));
}

function move(event) {
  if (event.buttons) return; // who is dragged stays in front
  pointer = {x: event.clientX, y: event.clientY};
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => {
    isAsked = false;
    lsProbes.safely(look)();
  });
}

/** The mouse may have come a long way since the last frame: what is pressed must be what is meant now. */
function press(event) {
  pointer = {x: event.clientX, y: event.clientY};
  look({isPress: true});
  scene.press(true);
}

function look({isPress = false} = {}) {
  const view = lsPage.view();
  if (!view || !lsProbes.can("regions", "persons", "stage")) return;
  const {persons} = membersOf(view.annotation);
  const under = personUnder(view, pointer, persons, display.get("hovered"));
  const id = under?.person?.id ?? null;
  if (id !== display.get("hovered")) tell(view.annotation, id);
  display.set("hovered", id);
  if (lsProbes.can("shapes")) lsShapes.catchOnly(under?.keypoint ?? null, under?.keypoint ? near(view) : [], {isPress});
}

/** Joints whose shapes may catch the mouse. */
function near({annotation, stage}) {
  const transform = stage.getAbsoluteTransform();
  const at = lsRegions.stagePointer({stage}, pointer);
  return annotation.regions.filter((region) => {
    if (!lsRegions.isKeypoint(region) || region.hidden) return false;
    const {x, y} = lsRegions.stagePoint(region, transform);
    return Math.hypot(x - at.x, y - at.y) < NEAR_PX;
  });
}
