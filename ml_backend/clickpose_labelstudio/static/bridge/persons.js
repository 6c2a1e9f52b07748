/** Which regions of an annotation are one person. */
import * as labelStudio from "./label_studio.js";
import * as skeleton from "./skeleton.js";

/** Persons of an annotation: id -> box (or null), and joint name -> keypoint region. */
export function personsOf(annotation) {
  const persons = new Map();
  for (const region of annotation.regions) {
    const isBox = labelStudio.isBox(region);
    const id = isBox ? region.cleanId : labelStudio.isKeypoint(region) ? labelStudio.parentId(region) : "";
    if (!id) continue;
    if (!persons.has(id)) persons.set(id, {id, box: null, keypoints: new Map()});
    const person = persons.get(id);
    const joint = isBox ? null : skeleton.joint(region.labelName);
    if (isBox) person.box = region;
    else if (joint && !person.keypoints.has(joint)) person.keypoints.set(joint, region);
  }
  return persons;
}
