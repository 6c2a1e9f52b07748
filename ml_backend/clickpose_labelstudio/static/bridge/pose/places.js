/** Where the regions of an annotation are, and which have moved. */
import * as lsRegions from "../label_studio/regions.js";

const SAME = 1e-6; // percent of the image

/** Region id -> numbers of its place. */
export function placesOf(annotation) {
  const regions = annotation.regions.filter((region) => lsRegions.isKeypoint(region) || lsRegions.isBox(region));
  return new Map(regions.map((region) => [region.cleanId, lsRegions.place(region)]));
}

export function samePlace(a, b) {
  return a?.length === b?.length && a.every((number, i) => Math.abs(number - b[i]) < SAME);
}

/** Ids of the regions that are new or lie elsewhere. */
export function changed(before, after) {
  return [...after.keys()].filter((id) => !before.has(id) || !samePlace(before.get(id), after.get(id)));
}
