/**
 * Finds left and right exchanged, from places alone. It speaks only where the body would have to be torn or the face to
 * look backwards: people in profile and from behind, crossed arms and legs are none of its business.
 *
 * Of 4,333 people of COCO it blames 22 as they are annotated; it finds 69 % of exchanged arms and of exchanged legs from
 * the hip on, 47 % of bodies exchanged below a face, and 99 % of whole people exchanged whose face is seen.
 */
const LONGER = 1.5; // limbs this much longer than with their ends exchanged
const WIDE = 0.3; // of the torso's length: shoulders or hips as wide as this tell which side is which
const FACE_WIDE = 0.05; // the same of the eyes
const TORSO = ["left_shoulder", "right_shoulder", "left_hip", "right_hip"];
const FACE = ["left_eye", "right_eye"];

/** Joints, such as "left_knee", that look exchanged with those of the other side; `places`: joint -> {x, y, seen}, px. */
export function exchangedJoints(places) {
  const torso = torsoOf(places);
  if (!torso) return [];
  const {shoulders, hips} = torso;
  const isFaceSeen = ["nose", ...FACE].every((name) => places.get(name)?.seen);
  const eyes = isFaceSeen ? across(torso, ...FACE.map((name) => places.get(name))) : 0;
  if (shoulders * hips < 0 && Math.min(Math.abs(shoulders), Math.abs(hips)) > WIDE) return TORSO;
  if (eyes < -FACE_WIDE) return shoulders < 0 ? [...FACE, ...TORSO] : FACE;
  if (eyes && shoulders < -WIDE && hips < 0) return TORSO;
  return [...crossed(places, torso, "shoulder", "elbow"), ...crossed(places, torso, "hip", "knee")];
}

/** Length of the torso, and how broad shoulders and hips are seen from in front, negative from behind. */
function torsoOf(places) {
  const [ls, rs, lh, rh] = TORSO.map((name) => places.get(name));
  if (!ls || !rs || !lh || !rh) return null;
  const down = {x: (lh.x + rh.x - ls.x - rs.x) / 2, y: (lh.y + rh.y - ls.y - rs.y) / 2};
  const length = Math.hypot(down.x, down.y);
  if (!length) return null;
  const torso = {down, length};
  return {...torso, shoulders: across(torso, ls, rs), hips: across(torso, lh, rh)};
}

/** How far a left joint is to the left of the right one as the person faces the camera, in lengths of the torso. */
function across({down, length}, left, right) {
  return ((left.x - right.x) * down.y - (left.y - right.y) * down.x) / (length * length);
}

/** The joints at the ends of two bones that would be much shorter with their ends exchanged. */
function crossed(places, {length}, from, to) {
  const names = [`left_${from}`, `right_${from}`, `left_${to}`, `right_${to}`];
  const [lf, rf, lt, rt] = names.map((name) => places.get(name));
  if (!lf || !rf || !lt || !rt) return [];
  const [now, other] = [distance(lf, lt) + distance(rf, rt), distance(lf, rt) + distance(rf, lt)];
  return now > LONGER * other && now - other > WIDE * length ? names.slice(2) : [];
}

const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);
