/** What keys and buttons do; all take the session and the board. */
import {limbFrom} from "../../../../ml_backend/clickpose_labelstudio/static/bridge/pose/limbs.js";
import * as people from "./people.js";
import * as saving from "./saving.js";

const NOBODY = "Nobody is chosen.";
const NO_JOINT = "No joint is chosen: click one.";

const words = (name) => name.replaceAll("_", " ");

/** Whom a key means: who is under the mouse, else who is chosen. */
const meant = (session, board) => session.person(board.shown.hovered) ?? session.person();

function withPerson(session, board, act) {
  const person = meant(session, board);
  if (person) act(person);
  else session.say(NOBODY);
}

/** Do something with the joint meant, {person, joint}; it must be there. */
function withJoint(session, board, act) {
  const {hovered, hoveredJoint} = board.shown;
  const isUnder = hoveredJoint !== null && session.person(hovered);
  const person = isUnder ? session.person(hovered) : session.person();
  const joint = isUnder ? hoveredJoint : session.joint;
  if (person && joint !== null && person.joints[joint]) act(person, joint);
  else session.say(NO_JOINT);
}

/** One step back; where nothing is left to undo, the way back to whoever was shown before. */
export async function undo(session, board) {
  const {past, stored, chosen, visited} = session;
  if (past.length || stored.get(chosen)?.saved || !visited.length) await saving.undo(session);
  else {
    await back(session, board);
    session.say("Nothing to undo here: back to the person before. Undo again for what was done there.");
  }
}
export const redo = (session) => session.redo();
export const follow = (session) => session.followElsewhere();
export const save = (session) => saving.save(session);

export async function acceptPerson(session, board) {
  const person = meant(session, board);
  if (person) await saving.save(session, [person.id]);
  else session.say(NOBODY);
}

export async function acceptAndGo(session, board) {
  const person = session.person();
  if (!person) session.say(NOBODY);
  else if (await saving.save(session, [person.id])) await next(session, board);
}

/** The next person of the queue; what is not saved here waits. */
export async function next(session, board) {
  const isDirty = session.isDirty();
  const {photo} = session;
  session.visited.push({field: photo.field, sample_id: photo.sample_id, label_id: session.chosen});
  await session.go("next", {label_id: session.chosen});
  board.bringIntoView();
  if (isDirty && photo !== session.photo) session.say("What you have not saved in the photo before waits there.");
}

/** Back to the person before. */
export async function back(session, board) {
  const before = session.visited.pop();
  if (!before) return session.say("This is the first person.");
  await session.go("open", {...before, follows: true});
  return board.bringIntoView();
}

export function addPerson(session, board) {
  board.set({mode: board.mode === "box" ? null : "box"});
  session.say(board.mode === "box" ? "Draw a box around the person. Escape leaves it." : "");
}

export function leave(session, board) {
  const isBusy = board.mode || board.isHelpShown;
  if (board.isHelpShown) board.set({isHelpShown: false});
  else if (board.mode) board.cancel();
  else if (session.joint !== null) session.choose(session.chosen, null);
  if (isBusy) session.say("");
}

/** Whether Escape has anything to leave here; else it is the app's. */
export const hasToLeave = (session, board) => Boolean(board.mode || board.isHelpShown || session.joint !== null);

export function exchangePerson(session, board) {
  withPerson(session, board, (person) => exchange(session, person, person.joints.map((_, i) => i), "the whole person"));
}

export function exchangePair(session, board) {
  withJoint(session, board, (person, joint) => exchange(session, person, [joint]));
}

export function exchangeLimb(session, board) {
  const {joints} = session.photo;
  withJoint(session, board, (person, joint) =>
    exchange(session, person, [joint, ...limbFrom(joints[joint], joints).map((name) => joints.indexOf(name))]));
}

function exchange(session, person, indices, what = null) {
  const {pairs, joints} = session.photo;
  const after = people.exchange(person, indices, pairs);
  const sides = pairs.filter(([left, right]) => indices.includes(left) || indices.includes(right));
  const parts = sides.map(([left]) => words(joints[left]).replace(/(^| )(left|right)( |$)/i, "").trim());
  if (after) session.edit(person, after, `Left and right exchanged: ${what ?? parts.join(", ")}.`);
  else session.say("There is nothing to exchange.");
}

export function toggleVisibility(session, board) {
  withJoint(session, board, (person, joint) => {
    const after = people.toggleHidden(person, joint);
    const now = people.isHidden(after.joints[joint]) ? "occluded" : "visible";
    session.edit(person, after, `${words(session.photo.joints[joint])}: ${now}.`);
  });
}

export function deleteJoint(session, board) {
  withJoint(session, board, (person, joint) => {
    session.edit(person, people.removeJoint(person, joint), `${words(session.photo.joints[joint])} deleted.`);
    session.choose(person.id, null);
  });
}

export function deletePerson(session, board) {
  withPerson(session, board, (person) => session.deletePerson(person));
  board.show({hovered: null, hoveredJoint: null});
}

export function hidePerson(session, board) {
  const {hidden, hovered} = board.shown;
  const person = session.person(hovered);
  if (person) {
    board.show({hidden: new Set([...hidden, person.id]), hovered: null, hoveredJoint: null});
    session.say("Person hidden. Shift+H beside everybody shows all again.");
  } else if (hidden.size) {
    board.show({hidden: new Set()});
    session.say("Everybody is shown again.");
  } else session.say("No person is under the mouse.");
}

export function isolatePerson(session, board) {
  const {alone} = board.shown;
  if (!alone && board.shown.hovered !== null) session.choose(board.shown.hovered);
  board.show({alone: !alone});
  session.say(alone ? "Everybody is shown again." : "This person alone. Shift+I shows everybody again.");
}

export const nextDoubtful = (session, board) => goToDoubtful(session, board, 1);
export const previousDoubtful = (session, board) => goToDoubtful(session, board, -1);

/** Joints of the photo that nobody but the network has placed, the most doubtful first. */
function doubtful(session) {
  const joints = session.people.flatMap((person) =>
    person.joints.flatMap((joint, index) => (joint && !people.isPlaced(joint) ? [{id: person.id, index, score: joint[2]}] : [])));
  return joints.sort((a, b) => a.score - b.score);
}

function goToDoubtful(session, board, by) {
  const joints = doubtful(session);
  if (!joints.length) return session.say("No joint is left that is only predicted.");
  const here = joints.findIndex(({id, index}) => id === session.chosen && index === session.joint);
  const at = here < 0 ? 0 : (here + by + joints.length) % joints.length;
  const {id, index, score} = joints[at];
  session.choose(id, index);
  board.bringIntoView();
  return session.say(`${words(session.photo.joints[index])}: predicted OKS ${score.toFixed(2)}, ${at + 1} of ${joints.length} from the most doubtful.`);
}

/** A joint by name: chosen, or, where it is not there, placed by the next click. */
export function chooseJoint(session, board, joint) {
  const person = session.person();
  if (!person) return session.say(NOBODY);
  session.choose(person.id, joint);
  const isThere = Boolean(person.joints[joint]);
  board.set({mode: isThere ? null : "place"});
  const name = words(session.photo.joints[joint]);
  return session.say(isThere ? `${name} is chosen.` : `Click where the ${name} is. Escape leaves it.`);
}

export function compare(session, board) {
  board.set({isCompared: !board.isCompared});
  if (board.isCompared && !board.earlier()) session.say("This person is as it was before.");
}

export function toggleTruth(session, board) {
  board.set({isTruthShown: !board.isTruthShown});
  const {truth, truth_field: field} = session.photo;
  if (!board.isTruthShown) session.say("");
  else if (!field) session.say("This dataset has no labelled people.");
  else session.say(truth.length ? `Labelled people of “${field}”: dotted.` : `Nobody is labelled in this photo (“${field}”).`);
}

export const toggleWhole = (session, board) => board.toggleWhole();
export const toggleBones = (session, board) => board.show({bones: !board.shown.bones});
export const toggleFade = (session, board) => board.show({fade: !board.shown.fade});
export const toggleNames = (session, board) => board.set({areNamesShown: !board.areNamesShown});
export const toggleHelp = (session, board) => board.set({isHelpShown: !board.isHelpShown});
