/** Matches labels with joints in any usual spelling, as the backend does. */
import {config} from "../config.js";

const SIDES = {l: "left", left: "left", r: "right", right: "right"};

function normalize(name) {
  const spaced = name.replace(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, " ");
  const words = spaced.toLowerCase().split(/[^a-z0-9]+/).filter(Boolean);
  const sides = words.filter((word) => word in SIDES).map((word) => SIDES[word]);
  return [...sides.slice(0, 1), ...words.filter((word) => !(word in SIDES))].join("_");
}

const joints = new Set(config.joints.map(normalize));
export const bones = config.bones.map((ends) => ends.map(normalize));
const cache = new Map();

/** The joint that a label names, or null. */
export function joint(label) {
  if (!label) return null;
  if (!cache.has(label)) cache.set(label, joints.has(normalize(label)) ? normalize(label) : null);
  return cache.get(label);
}

const LIMBS = [
  ["shoulder", "elbow", "wrist", "hand|palm|thumb|finger|index|pinky"],
  ["hip", "knee", "ankle", "foot|heel|toe"],
  ["eye", "ear"],
].map((limb) => limb.map((parts) => new RegExp(`(^|_)(${parts})(_|$)`)));
const OTHER_SIDE = {left: "right", right: "left"};

/** "left" or "right", or null for a joint in the middle. */
export const sideOf = (name) => name.match(/^(left|right)_/)?.[1] ?? null;

/** The same joint of the other side; null for a joint in the middle. */
export function mirror(name) {
  const side = sideOf(name);
  const other = side && name.replace(side, OTHER_SIDE[side]);
  return other && joints.has(other) ? other : null;
}

/** The joint and those of its side from it to the end of its arm or leg. */
export function limbFrom(name) {
  const stageOf = (other) => {
    const limb = LIMBS.findIndex((parts) => parts.some((part) => part.test(other)));
    return [limb, limb < 0 ? -1 : LIMBS[limb].findIndex((part) => part.test(other))];
  };
  const [limb, stage] = stageOf(name);
  const isFurther = (other) => {
    const [otherLimb, otherStage] = stageOf(other);
    return otherLimb === limb && limb >= 0 && otherStage > stage && sideOf(other) === sideOf(name);
  };
  return sideOf(name) ? [name, ...[...joints].filter(isFurther)] : [];
}
