/** Shows, while Shift is held, whom a key would take. */
import * as display from "../drawing/display.js";
import * as lsPage from "../label_studio/page.js";
import {can, safely} from "../label_studio/probes.js";
import {regionsOf} from "../pose/persons.js";
import * as targets from "./targets.js";

const NOTHING = new Set();
let isHeld = false;
let isAsked = false;

function look({shiftKey, buttons, type}) {
  if (!shiftKey && !isHeld) return;
  isHeld = shiftKey && !buttons && type !== "blur";
  if (!isHeld) display.set("marked", NOTHING);
  else if (!isAsked) {
    isAsked = true;
    requestAnimationFrame(safely(mark));
  }
}

function mark() {
  isAsked = false;
  const view = lsPage.view();
  const isPossible = isHeld && view && can("regions", "persons", "places", "stage");
  const regions = isPossible ? targets.persons(view).flatMap(regionsOf) : [];
  display.set("marked", new Set(regions.map((region) => region.cleanId)));
}

/** Watch Shift and the mouse from now on. */
export function listen() {
  const options = {capture: true, passive: true};
  for (const type of ["keydown", "keyup", "pointermove", "pointerdown", "blur"]) {
    window.addEventListener(type, safely(look), options);
  }
}
