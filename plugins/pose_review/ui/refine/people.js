/**
 * A person as the canvas shows it, and what is done to it. Persons are never changed but made anew, each with a version
 * of its own, by which the steps of the history know them.
 *
 * person: {id, v, joints, box, score, …}; a joint is [x px, y px, predicted OKS, visibility, placed by a human], or null
 * where it is not there; box: [left, top, right, bottom] px.
 */
const HIDDEN = 0.25; // what the dataset keeps for a joint that somebody marked as hidden
const VISIBLE = 1;
const HIDDEN_BELOW = 0.5;
const session = Date.now().toString(36); // versions outlive a reload of the page, see drafts.js
let made = 0;

export const nextVersion = () => `${session}.${++made}`;

/** A person with something else about it. */
export const changed = (person, changes) => ({...person, ...changes, v: nextVersion()});

export const isHidden = (joint) => joint[3] < HIDDEN_BELOW;
export const isPlaced = (joint) => joint[4];

const withJoint = (person, index, joint) => person.joints.map((other, i) => (i === index ? joint : other));

/** A joint put somewhere by a human: it is certain, and the box holds it. */
export function place(person, index, [x, y]) {
  const seen = Math.max(person.joints[index]?.[3] ?? VISIBLE, HIDDEN_BELOW);
  return changed(person, {joints: withJoint(person, index, [x, y, 1, seen, true]), box: grown(person.box, x, y)});
}

const grown = ([left, top, right, bottom], x, y) => [
  Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y),
];

export const removeJoint = (person, index) => changed(person, {joints: withJoint(person, index, null)});

/** Hidden or visible: somebody looked at it, so that it stays where it is. */
export function toggleHidden(person, index) {
  const [x, y, score, seen] = person.joints[index];
  return changed(person, {joints: withJoint(person, index, [x, y, score, seen < HIDDEN_BELOW ? VISIBLE : HIDDEN, true])});
}

/** Joints exchanged with those of the other side, and placed; null where there is nothing to exchange. */
export function exchange(person, indices, pairs) {
  const joints = [...person.joints];
  let isAny = false;
  for (const [left, right] of pairs) {
    if (!indices.includes(left) && !indices.includes(right)) continue;
    if (!joints[left] && !joints[right]) continue;
    [joints[left], joints[right]] = [placed(joints[right]), placed(joints[left])];
    isAny = true;
  }
  return isAny ? changed(person, {joints}) : null;
}

const placed = (joint) => joint && [...joint.slice(0, 4), true];

/** What the network answers for a person: what a human placed or took away since it was asked stays so. */
export function follow(person, {joints, box, score}) {
  const merged = person.joints.map((joint, i) => (joint && !isPlaced(joint) ? joints[i] ?? joint : joint));
  const held = merged.filter((joint) => joint && isPlaced(joint)).reduce((b, [x, y]) => grown(b, x, y), box);
  return changed(person, {joints: merged, box: held, score});
}

/** Whether two persons would be written alike. */
export const isSame = (one, other) => JSON.stringify([one.joints, one.box]) === JSON.stringify([other.joints, other.box]);

/** How far the furthest joint has moved, px. */
export function distanceMoved(before, after) {
  const apart = after.joints.map((joint, i) =>
    joint && before.joints[i] ? Math.hypot(joint[0] - before.joints[i][0], joint[1] - before.joints[i][1]) : 0);
  return Math.max(0, ...apart);
}

export const movedJoints = (before, after, atLeast = 0.5) => after.joints.filter((joint, i) => {
  const earlier = before.joints[i];
  return joint && earlier && Math.hypot(joint[0] - earlier[0], joint[1] - earlier[1]) >= atLeast;
}).length;
