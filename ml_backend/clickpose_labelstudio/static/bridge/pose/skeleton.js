/** Matches labels with joints in any usual spelling, as the backend does. */
import {config} from "../config.js";
import * as limbs from "./limbs.js";

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

const OTHER_SIDE = {left: "right", right: "left"};

export const sideOf = limbs.sideOf;

/** The same joint of the other side; null for a joint in the middle. */
export function mirror(name) {
  const side = sideOf(name);
  const other = side && name.replace(side, OTHER_SIDE[side]);
  return other && joints.has(other) ? other : null;
}

/** The joint and those of its side from it to the end of its arm or leg. */
export const limbFrom = (name) => limbs.limbFrom(name, [...joints]);
