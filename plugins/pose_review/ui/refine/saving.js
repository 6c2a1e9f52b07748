/** Writes what was corrected into the dataset, and takes that back. */
import * as people from "./people.js";
import * as steps from "./steps.js";
import {bare} from "./session.js";

const counted = (count, one, many) => (count ? [`${count} ${count === 1 ? one : many}`] : []);

/**
 * Save all that was corrected in the photo, and accept people with it.
 *
 * @returns whether everything was written.
 */
export async function save(session, accepted = []) {
  await session.settled();
  const corrections = correctionsOf(session, accepted);
  const {poses, added, deleted} = corrections;
  const counts = [poses, added, deleted].map((found) => Object.keys(found).length);
  if (!counts.some(Boolean) && !accepted.length) {
    session.say("There is nothing to save.");
    return false;
  }
  const before = [...session.people];
  const versions = Object.fromEntries([...session.stored].map(([id, {v}]) => [id, v]));
  const answer = await session.ask("save", {...corrections, label_id: session.chosen});
  if (answer.problem) {
    session.say(answer.problem);
    return false;
  }
  const [corrected, made, gone] = counts;
  const done = [
    ...counted(corrected, "person corrected", "people corrected"), ...counted(made, "person added", "people added"),
    ...counted(gone, "person deleted", "people deleted"), ...counted(accepted.length, "accepted", "accepted"),
  ];
  const says = `Saved: ${done.join(", ")}; the originals are kept.`;
  adopt(session, answer, before, {key: people.nextVersion(), receipt: answer.receipt, versions, says});
  const {length} = answer.conflicts;
  if (length) session.say(`Somebody else changed ${length === 1 ? "a person" : `${length} people`} meanwhile: theirs is shown, redo brings yours back.`);
  else session.say(says);
  return !length;
}

function correctionsOf(session, accepted) {
  const {stored} = session;
  const isOther = (person) => stored.has(person.id) && session.isChanged(person) && !people.isSame(person, stored.get(person.id));
  const corrected = session.people.filter(isOther);
  const added = session.people.filter(({id}) => !stored.has(id));
  const deleted = [...stored.values()].filter(({id}) => !session.person(id));
  return {
    poses: Object.fromEntries(corrected.map((person) => [person.id, {...bare(person), mark: stored.get(person.id).mark}])),
    added: Object.fromEntries(added.map((person) => [person.id, bare(person)])),
    deleted: Object.fromEntries(deleted.map(({id, mark}) => [id, mark])),
    settled: accepted,
  };
}

/** Go on with what is in the dataset now; who was written keeps the version that the steps know. */
function adopt(session, {people: told, chosen, ids, conflicts, changed, receipt, samples, ...photo}, sent, step) {
  const wasSent = new Map(sent.map((person) => [ids[person.id] ?? person.id, person.v]));
  Object.assign(session, steps.renamed(session, ids));
  session.people = session.people.map((person) => (person.id in ids ? {...person, id: ids[person.id]} : person));
  if (session.chosen in ids) session.chosen = ids[session.chosen];
  Object.assign(session.photo, photo);
  const stored = told.map((person) => {
    const isTheirs = conflicts.includes(person.id) || !wasSent.has(person.id);
    return [person.id, {...person, v: isTheirs ? people.nextVersion() : wasSent.get(person.id)}];
  });
  session.stored = new Map(stored);
  session.past = [...session.past, step];
  conflicts.forEach((id) => giveWay(session, id));
  session.keepDraft();
  session.samplesChanged(samples);
  session.tell();
}

/** Show a person as somebody else left it; what was made of it here can be done again. */
function giveWay(session, id) {
  const theirs = session.stored.get(id);
  const mine = session.person(id);
  session.past = session.past.filter((step) => step.id !== id);
  if (theirs) session.people = mine ? session.people.map((person) => (person.id === id ? theirs : person)) : [...session.people, theirs];
  else session.people = session.people.filter((person) => person.id !== id);
  if (theirs && mine) session.future = [...session.future, {key: people.nextVersion(), id, before: theirs, after: mine, says: "your own corrections."}];
}

/** Undo one step: a correction, or a save, whether of this browser or of another day. */
export async function undo(session) {
  await session.settled();
  const step = session.past.at(-1);
  if (step && !step.receipt) session.undo();
  else if (step) await takeBack(session, step);
  else await undoSaved(session);
}

async function takeBack(session, step) {
  const answer = await session.ask("take_back", {receipt: step.receipt, label_id: session.chosen});
  if (session.past.at(-1) !== step) return;
  if (answer.problem) {
    session.say(answer.problem);
    return;
  }
  const {people: told, chosen, samples, ...photo} = answer;
  Object.assign(session.photo, photo);
  session.stored = new Map(told.map((person) => [person.id, {...person, v: step.versions[person.id] ?? people.nextVersion()}]));
  session.past = session.past.slice(0, -1);
  session.keepDraft();
  session.samplesChanged(samples);
  session.say("The save was taken back; what you corrected is still here, not saved.");
}

async function undoSaved(session) {
  const {chosen: id, photo} = session;
  const stored = session.stored.get(id);
  if (!stored?.saved) {
    session.say("There is nothing to undo.");
    return;
  }
  const answer = await session.ask("undo_saved", {label_id: id, mark: stored.mark});
  if (photo !== session.photo || answer.problem) {
    if (answer.problem) session.say(answer.problem);
    return;
  }
  const {people: told, chosen, samples, ...more} = answer;
  Object.assign(session.photo, more);
  const mine = session.person(id);
  session.stored = new Map(told.map((person) => [person.id, {...person, v: session.stored.get(person.id)?.v ?? people.nextVersion()}]));
  const now = {...session.stored.get(id), v: people.nextVersion()};
  session.stored.set(id, now);
  session.people = session.people.map((person) => (person.id === id ? now : person));
  session.future = [...session.future, {key: people.nextVersion(), id, before: now, after: mine, says: "the correction that had been saved."}];
  session.keepDraft();
  session.samplesChanged(samples);
  session.say("The last saved correction of this person was taken back; the original is kept.");
}
