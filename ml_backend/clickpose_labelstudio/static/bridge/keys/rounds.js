/** Goes round what is left to do: doubtful joints, the most doubtful first, and problems. */
import * as display from "../drawing/display.js";
import * as lsRegions from "../label_studio/regions.js";
import * as lsViewport from "../label_studio/viewport.js";
import * as notices from "../surface/notices.js";
import * as pointer from "./pointer.js";
import {count, nameOf} from "../pose/words.js";
import {ownerId, personsOf, regionsOf} from "../pose/persons.js";
import {problemsOf} from "../pose/checks.js";

const KIND = "key"; // of the notices: a new one takes the place of the one before
let round = {annotation: null, path: [], at: -1, problem: 0}; // ids of the joints looked at, in order; where one is

function roundOf(annotation) {
  if (round.annotation !== annotation) round = {annotation, path: [], at: -1, problem: 0};
  return round;
}

/** Joints that nobody but the network has placed, the most doubtful first. */
function doubtful(annotation) {
  const predicted = annotation.regions.filter(
    (r) => lsRegions.isKeypoint(r) && ownerId(r) && lsRegions.isShown(r) && !lsRegions.isTouched(r),
  );
  const scored = predicted.map((region) => ({region, score: lsRegions.score(region)}));
  return scored.filter(({score}) => score !== null).sort((a, b) => a.score - b.score);
}

/** Go to the joint with the lowest predicted OKS that has not been looked at. */
export function nextDoubtful(view) {
  const way = roundOf(view.annotation);
  const joints = doubtful(view.annotation);
  if (!joints.length) {
    notices.say("No joint is left that is only predicted.", {kind: KIND});
    return;
  }
  const byId = new Map(joints.map((joint) => [joint.region.cleanId, joint]));
  const after = way.path.findIndex((id, index) => index > way.at && byId.has(id)); // after having gone back
  const looked = new Set(way.path);
  const fresh = joints.find(({region}) => !looked.has(region.cleanId));
  const isRound = after < 0 && !fresh;
  if (isRound) way.path = [];
  way.at = after < 0 ? way.path.push((fresh ?? joints[0]).region.cleanId) - 1 : after;
  const lead = isRound ? "All have been looked at; from the most doubtful again. " : "";
  goTo(view, byId.get(way.path[way.at]), joints, lead);
}

/** Go back to the joint before. */
export function previousDoubtful(view) {
  const way = roundOf(view.annotation);
  const joints = doubtful(view.annotation);
  const byId = new Map(joints.map((joint) => [joint.region.cleanId, joint]));
  const before = way.path.findLastIndex((id, index) => index < way.at && byId.has(id));
  if (before < 0) {
    notices.say("This was the first one.", {kind: KIND});
    return;
  }
  way.at = before;
  goTo(view, byId.get(way.path[before]), joints, "");
}

function goTo(view, {region, score}, joints, lead) {
  show(view, [region]);
  const place = `${joints.findIndex((joint) => joint.region === region) + 1} of ${joints.length}`;
  const oks = `predicted OKS ${score.toFixed(2)}`;
  notices.say(`${lead}${nameOf(region)}: ${oks}, ${place} from the most doubtful.`, {kind: KIND});
}

/** Select regions, and bring the first and its person into view and to the front. */
function show(view, regions) {
  const person = personsOf(view.annotation).get(ownerId(regions[0]));
  pointer.rest();
  display.set("hovered", person?.id ?? null);
  lsRegions.select(view.annotation, regions);
  lsViewport.bringIntoView(view, person ? regionsOf(person) : regions, middleOf(regions[0]));
}

function middleOf(region) {
  const [x, y, width = 0, height = 0] = lsRegions.place(region);
  return {x: x + width / 2, y: y + height / 2};
}

/** Go to the next thing that an export would leave out or that looks wrong. */
export function nextProblem(view) {
  const way = roundOf(view.annotation);
  const problems = problemsOf(view.annotation);
  if (!problems.length) {
    notices.say("Nothing looks wrong: no loose or double joints, everybody has a box.", {kind: KIND});
    return;
  }
  const index = way.problem % problems.length;
  way.problem = index + 1;
  const {text, regionIds} = problems[index];
  const byId = new Map(view.annotation.regions.map((region) => [region.cleanId, region]));
  show(view, regionIds.map((id) => byId.get(id)));
  const place = problems.length > 1 ? ` ${index + 1} of ${count(problems.length, "problem")}.` : "";
  notices.say(text + place, {kind: KIND});
}
