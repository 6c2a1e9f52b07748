/** What an annotator would want to know before submitting: pure, and quiet where all is well. */
import {can} from "../label_studio/probes.js";
import * as lsRegions from "../label_studio/regions.js";
import {count, nameOf} from "./words.js";
import {doubles, ownerless, personsOf, regionsOf} from "./persons.js";
import {exchangedJoints} from "./sides.js";
import * as skeleton from "./skeleton.js";

/** Problems of an annotation: [{kind, text, regionIds}]; `kind` is "loose", "double", "no joint", "no box" or "sides". */
export function problemsOf(annotation) {
  const persons = personsOf(annotation);
  return [
    ...ownerless(annotation).map(looseProblem),
    ...doubles(annotation, persons).map(doubleProblem),
    ...strangers(annotation).map(strangerProblem),
    ...[...persons.values()].flatMap((person) => [...boxProblem(person), ...sidesProblem(person)]),
  ];
}

const looseProblem = (region) => ({
  kind: "loose",
  text: `This ${nameOf(region)} belongs to nobody.`,
  regionIds: [region.cleanId],
});

const doubleProblem = ({kept, extra}) => ({
  kind: "double",
  text: `One person has two of ${nameOf(extra)}: an export leaves this one out.`,
  regionIds: [extra.cleanId, kept.cleanId],
});

/** Keypoints whose label is missing or no joint. */
function strangers(annotation) {
  return annotation.regions.filter((r) => lsRegions.isKeypoint(r) && !skeleton.joint(r.labelName));
}

const strangerProblem = (region) => ({
  kind: "no joint",
  text: region.labelName ? `“${region.labelName}” is no joint: an export leaves it out.` : "This point has no label.",
  regionIds: [region.cleanId],
});

function boxProblem(person) {
  if (person.box) return [];
  const joints = count(person.keypoints.size, "joint");
  return [{kind: "no box", text: `A person of ${joints} has no box.`, regionIds: idsOf(regionsOf(person))}];
}

function sidesProblem(person) {
  if (!can("pixels")) return [];
  const image = person.box?.object ?? [...person.keypoints.values()][0]?.object;
  const pixels = ([joint, region]) => [
    joint,
    {...lsRegions.pixelsOf(region, image), seen: !lsRegions.isOccluded(region)},
  ];
  const joints = exchangedJoints(new Map([...person.keypoints].map(pixels)));
  if (!joints.length) return [];
  const regions = joints.map((joint) => person.keypoints.get(joint));
  const names = [...new Set(regions.map((region) => nameOf(region).replace(/^(left|right) /, "")))].join(", ");
  return [{kind: "sides", text: `Left and right look exchanged: ${names}.`, regionIds: idsOf(regions)}];
}

const idsOf = (regions) => regions.map((region) => region.cleanId);
