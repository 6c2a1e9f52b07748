/** Which regions of an annotation are one person. */
import * as lsRegions from "../label_studio/regions.js";
import * as skeleton from "./skeleton.js";

/** Persons of an annotation: id -> box (or null), and joint name -> keypoint region. */
export function personsOf(annotation) {
  const persons = new Map();
  for (const region of annotation.regions) {
    const isBox = lsRegions.isBox(region);
    const id = isBox ? region.cleanId : lsRegions.isKeypoint(region) ? lsRegions.parentId(region) : "";
    if (!id) continue;
    if (!persons.has(id)) persons.set(id, {id, box: null, keypoints: new Map()});
    const person = persons.get(id);
    const joint = isBox ? null : skeleton.joint(region.labelName);
    if (isBox) person.box = region;
    else if (joint && !person.keypoints.has(joint)) person.keypoints.set(joint, region);
  }
  return persons;
}
