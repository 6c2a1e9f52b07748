/**
 * What one canvas shows: a photo, its people with all that is not saved, who is chosen, and what is said. It belongs to
 * this browser alone; Python is asked questions, see panels/refine.py, and its answers are taken only while they fit.
 */
import * as drafts from "./drafts.js";
import {Instant} from "./instant.js";
import * as people from "./people.js";
import {Preview} from "./preview.js";
import * as steps from "./steps.js";
import {reviewer} from "../pose_reviewer.js";

const PREPARE_MS = 120; // that somebody stays chosen before the network looks at it
const REST_MS = 60; // and that the mouse stays with somebody: it may only be passing

export class Session {
  photo = null; // as of on_open: all but the people
  people = []; // as they are shown, from the first to the last
  stored = new Map(); // label id -> person as it is in the dataset, with the version that it has here
  past = [];
  future = [];
  chosen = null; // id of a person
  joint = null; // index of its joint
  problem = null; // why there is nothing to show
  says = ""; // the latest thing that happened
  notice = ""; // what is to be known of the network
  visited = []; // {field, sample_id, label_id} of those whom Next has left
  busy = 0; // questions on their way
  elsewhere = null; // {id, joints}: joints that somebody placed in the app itself; the rest may follow them
  onPreview = () => {}; // paints who is being dragged
  samplesChanged = () => {}; // has the app show samples as they are now
  #ask;
  #listeners = new Set();
  #turn = 0; // of questions for another photo: the latest one counts
  #queue = Promise.resolve(); // of joints whose person is to follow
  #unanswered = 0; // of these
  #timer = 0;

  /** @param ask (name of an event, parameters) -> promise of its answer, {problem} where there is none. */
  constructor(ask) {
    this.#ask = ask;
    this.instant = new Instant((name, params) => this.#ask(name, params));
    this.preview = new Preview(this.instant, () => this.onPreview());
  }

  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell() {
    this.#listeners.forEach((listener) => listener());
  }

  say(text) {
    this.says = text;
    this.tell();
  }

  /** Ask Python something of the photo that is shown. */
  async ask(name, params = {}) {
    this.busy += 1;
    this.tell();
    const {field, sample_id, filepath, width, height} = this.photo ?? {};
    const about = this.photo ? {field, sample_id, filepath, image_hw: [height, width]} : {};
    const answer = await this.#ask(name, {...about, reviewer: reviewer(), ...params});
    this.busy -= 1;
    this.tell();
    return answer;
  }

  /** Show another photo, or ask anew for this one. */
  async go(name, params = {}) {
    const turn = ++this.#turn;
    const isAgain = name === "open" && params.label_id === this.chosen;
    const answer = await this.ask(name, params);
    if (turn !== this.#turn) return; // asked for something else meanwhile
    if (answer.problem && (name === "next" || this.photo)) this.say(answer.problem);
    else if (answer.problem) this.problem = answer.problem;
    else this.show(answer, isAgain);
    this.tell();
  }

  show({people: told, chosen, ...photo}, isAgain = false) {
    const isSame = this.photo?.sample_id === photo.sample_id && this.photo?.field === photo.field;
    const found = new Map(told.map((person) => [person.id, {...person, v: people.nextVersion()}]));
    const {lost, ...state} = drafts.restore(photo, found);
    const before = isSame ? this.stored : new Map();
    Object.assign(this, state, {photo: isSame ? Object.assign(this.photo, photo) : photo, problem: null});
    if (!isSame) this.instant.clear();
    this.preview.end();
    if (!(isSame && isAgain && this.person())) this.choose(this.person(chosen) ? chosen : this.people[0]?.id ?? null);
    this.past.filter((step) => step.joint !== undefined && !step.isAnswered).forEach(({key}) => this.#follow(key));
    this.elsewhere = photo.is_annotatable ? placedElsewhere(before, this.stored) : null;
    if (this.elsewhere) this.say(`${this.#named(this.elsewhere.joints)} placed in Annotate: press F and the rest follows.`);
    else if (lost) this.say(`Somebody else changed people of this photo: ${lost} of your unsaved steps are gone.`);
    else if (!isSame) this.say(this.isDirty() ? "What you had not saved here is still there." : "");
  }

  /** Nothing is shown any more: another dataset was opened. */
  forget() {
    Object.assign(this, {photo: null, people: [], stored: new Map(), past: [], future: [], chosen: null, joint: null, says: "", notice: ""});
    this.visited = [];
    this.instant.clear();
    this.preview.cancel();
    this.tell();
  }

  #named(joints) {
    return joints.map((joint) => this.photo.joints[joint].replaceAll("_", " ")).join(", ");
  }

  person(id = this.chosen) {
    return this.people.find((person) => person.id === id) ?? null;
  }

  choose(id, joint = null) {
    Object.assign(this, {chosen: id, joint});
    this.approach(id, PREPARE_MS);
    this.tell();
  }

  /** The mouse is with somebody, or with nobody: then who is chosen comes next. */
  approach(id, restMs = REST_MS) {
    clearTimeout(this.#timer);
    const person = this.person(id ?? undefined);
    if (person) this.#timer = setTimeout(() => this.#prepare(person.id), restMs);
  }

  /** Have the network look at a person, so that its first joint is followed at once. */
  async #prepare(id) {
    const {photo} = this;
    const person = this.person(id);
    if (!person) return;
    const said = await this.instant.prepare(id, {
      field: photo.field, filepath: photo.filepath, image_hw: [photo.height, photo.width], person: bare(person),
    });
    if (photo !== this.photo || !said) return;
    this.notice = said.notice ?? "";
    this.tell();
  }

  /** Whether a person differs from what is in the dataset. */
  isChanged = ({id, v}) => this.stored.get(id)?.v !== v;

  isDirty() {
    return this.people.some(this.isChanged) || [...this.stored.keys()].some((id) => !this.person(id));
  }

  /**
   * One step: a person becomes another one.
   *
   * @param more joint: index of a joint that others are to follow; place: of a person among the others.
   */
  edit(before, after, says, more = {}) {
    const step = {key: people.nextVersion(), id: (before ?? after).id, before, after, says, ...more};
    if (step.joint === undefined) this.preview.end();
    this.people = steps.redone(this.people, step);
    this.#remember([...this.past, step], []);
    this.choose(after ? step.id : this.people[0]?.id ?? null, after && this.joint);
    this.say(says);
    if (step.joint !== undefined) this.#follow(step.key);
  }

  /** A joint put somewhere by a human: the others follow. */
  place(person, joint, position) {
    const name = this.photo.joints[joint].replaceAll("_", " ");
    this.edit(person, people.place(person, joint, position), `${name} placed.`, {joint});
    this.choose(person.id, joint);
  }

  /** Have the rest of a person follow the joints that somebody placed in the app itself. */
  followElsewhere() {
    const {id, joints} = this.elsewhere ?? {joints: []};
    this.elsewhere = null;
    for (const joint of joints) {
      const person = this.person(id);
      if (person?.joints[joint]) this.place(person, joint, person.joints[joint].slice(0, 2));
    }
    if (!joints.length) this.say("Nothing was placed in the app itself.");
  }

  /** Somebody in a box, [left, top, right, bottom] px, as the network finds them. */
  async addPerson(box) {
    const {photo} = this;
    const answer = await this.ask("box", {box});
    if (photo !== this.photo) return;
    if (answer.problem) {
      this.say(answer.problem);
      return;
    }
    const person = people.changed({id: `new-${people.nextVersion()}`}, answer);
    const isEmpty = !person.joints.some(Boolean);
    this.edit(null, person, isEmpty ? "Person added, without joints: choose them by name." : "Person added.", {place: this.people.length});
    this.choose(person.id);
  }

  deletePerson(person) {
    this.edit(person, null, "Person deleted.", {place: this.people.indexOf(person)});
  }

  #remember(past, future) {
    Object.assign(this, {past, future});
    this.keepDraft();
  }

  keepDraft() {
    const stored = Object.fromEntries([...this.stored].map(([id, {v, mark}]) => [id, {v, mark}]));
    drafts.keep(this.photo, {past: this.past, future: this.future, people: this.people, stored});
  }

  #follow(key) {
    this.#unanswered += 1;
    this.#queue = this.#queue.then(() => this.#answer(key)).finally(() => {
      this.#unanswered -= 1;
      if (!this.#unanswered) this.preview.end();
    });
  }

  async #answer(key) {
    const {photo} = this;
    const step = this.past.find((other) => other.key === key);
    if (!step || step.isAnswered) return;
    const [x, y] = step.after.joints[step.joint];
    const here = await this.instant.answer(step.after);
    if (photo !== this.photo) return; // asked again when it is shown again
    const answer = here ?? (await this.ask("click", {person: bare(step.after), joint: photo.joints[step.joint], x, y}));
    if (photo !== this.photo) return;
    if (!here) this.approach(step.id, 0); // so that the next joint is answered here
    if (answer.problem) {
      this.say(answer.problem);
      return;
    }
    const before = step.after;
    Object.assign(this, steps.amended(this, key, (person) => people.follow(person, answer)));
    this.keepDraft();
    const now = this.past.find((other) => other.key === key)?.after;
    const others = now ? people.movedJoints(before, now) : 0;
    this.say(`${step.says} ${others === 1 ? "1 other joint" : `${others} other joints`} followed.`);
  }

  /** Everything that was asked for has been answered. */
  settled() {
    return this.#queue;
  }

  /** Take the last correction back; tells which step it was, null where there is none or it is a save. */
  undo() {
    const step = this.past.at(-1);
    if (!step || step.receipt) return null;
    this.preview.end();
    this.people = steps.undone(this.people, step);
    this.#remember(this.past.slice(0, -1), [...this.future, step]);
    this.#chooseOf(step, step.before);
    this.say(`Undone: ${step.says}`);
    return step;
  }

  redo() {
    const step = this.future.at(-1);
    if (!step) return;
    this.preview.end();
    this.people = steps.redone(this.people, step);
    this.#remember([...this.past, step], this.future.slice(0, -1));
    this.#chooseOf(step, step.after);
    this.say(`Again: ${step.says}`);
    if (step.joint !== undefined && !step.isAnswered) this.#follow(step.key);
  }

  #chooseOf({id}, isThere) {
    if (!isThere) this.choose(this.people[0]?.id ?? null);
    else if (this.chosen !== id) this.choose(id);
  }
}

/** The first person some of whose joints are elsewhere than they were a moment ago, and which those are; null for none. */
export function placedElsewhere(before, now) {
  for (const [id, {joints, mark}] of now) {
    const earlier = before.get(id);
    if (!earlier || earlier.mark === mark) continue;
    const isMoved = (joint, i) => joint && (joint[0] !== earlier.joints[i]?.[0] || joint[1] !== earlier.joints[i]?.[1]);
    const moved = joints.flatMap((joint, i) => (isMoved(joint, i) ? [i] : []));
    if (moved.length && moved.length < joints.length / 2) return {id, joints: moved}; // else it is another pose
  }
  return null;
}

/** A person as Python reads it. */
export const bare = ({joints, box, score}) => ({joints, box, score});
