/** Shows one person alone, by hiding all others, and then all that were shown before. */
import * as actions from "../label_studio/region_actions.js";
import * as lsRegions from "../label_studio/regions.js";
import {personsOf, regionsOf} from "../pose/persons.js";

let isolated = null; // {annotation, id: of the person, hidden: ids of the regions that were hidden for it}

export function begin({annotation}, person) {
  const own = new Set(regionsOf(person));
  const others = annotation.regions.filter((region) => !own.has(region) && lsRegions.isShown(region));
  isolated = {annotation, id: person.id, hidden: new Set(others.map((region) => region.cleanId))};
  actions.quietly(() => others.forEach((region) => lsRegions.setShown(region, false)));
}

export function end() {
  if (!isolated) return;
  const {annotation, hidden} = isolated;
  isolated = null;
  const back = annotation.regions.filter((region) => hidden.has(region.cleanId));
  actions.quietly(() => back.forEach((region) => lsRegions.setShown(region, true)));
}

/** Whether a person of this annotation is shown alone; on another annotation everybody is shown. */
export function isOn({annotation}) {
  if (isolated && isolated.annotation !== annotation) isolated = null;
  return isolated !== null;
}

/** Show everybody again once the one who is shown alone has been deleted. */
export function follow(view) {
  if (isOn(view) && !personsOf(view.annotation).has(isolated.id)) end();
}
