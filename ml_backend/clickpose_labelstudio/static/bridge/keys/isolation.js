/** Shows one person alone, and then all that were shown before. */
import * as actions from "../label_studio/region_actions.js";
import * as display from "../drawing/display.js";
import * as lsRegions from "../label_studio/regions.js";
import {regionsOf} from "../pose/persons.js";

let isolated = null; // {annotation, hidden: ids of the regions that were hidden for it}

export function begin({annotation}, person) {
  const own = new Set(regionsOf(person));
  const others = annotation.regions.filter((region) => !own.has(region) && lsRegions.isShown(region));
  isolated = {annotation, hidden: new Set(others.map((region) => region.cleanId))};
  actions.quietly(() => others.forEach((region) => lsRegions.setShown(region, false)));
  display.set("isolated", person.id);
}

export function end() {
  if (!isolated) return;
  const {annotation, hidden} = isolated;
  isolated = null;
  display.set("isolated", null);
  const back = annotation.regions.filter((region) => hidden.has(region.cleanId));
  actions.quietly(() => back.forEach((region) => lsRegions.setShown(region, true)));
}

/** Whether a person of this annotation is shown alone; on another annotation everybody is shown. */
export function isOn({annotation}) {
  if (isolated && isolated.annotation !== annotation) {
    isolated = null;
    display.set("isolated", null);
  }
  return isolated !== null;
}
