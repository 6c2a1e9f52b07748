/** What the names of joints tell: sides, arms and legs. */

const LIMBS = [
  ["shoulder", "elbow", "wrist", "hand|palm|thumb|finger|index|pinky"],
  ["hip", "knee", "ankle", "foot|heel|toe"],
  ["eye", "ear"],
].map((limb) => limb.map((parts) => new RegExp(`(^|_)(${parts})(_|$)`)));

/** "left" or "right", or null for a joint in the middle. */
export const sideOf = (name) => name.match(/^(left|right)_/)?.[1] ?? null;

/** A joint and those among others of its side from it to the end of its arm or leg. */
export function limbFrom(name, joints) {
  const stageOf = (other) => {
    const limb = LIMBS.findIndex((parts) => parts.some((part) => part.test(other)));
    return [limb, limb < 0 ? -1 : LIMBS[limb].findIndex((part) => part.test(other))];
  };
  const [limb, stage] = stageOf(name);
  const isFurther = (other) => {
    const [otherLimb, otherStage] = stageOf(other);
    return otherLimb === limb && limb >= 0 && otherStage > stage && sideOf(other) === sideOf(name);
  };
  return sideOf(name) ? [name, ...joints.filter(isFurther)] : [];
}
