/**
 * Clicks that this browser answers by itself: what the network saw of a person is fetched once, and a worker decodes, the
 * one of Label Studio's bridge. What is answered here is what Python would answer; where that cannot be, it is asked.
 */
import * as decoder from "../../../../ml_backend/clickpose_labelstudio/static/bridge/instant/decoder.js";
import * as poses from "../../../../ml_backend/clickpose_labelstudio/static/bridge/instant/poses.js";
import {askPage, portsOf} from "./asking.js";
import {isPlaced} from "./people.js";

const MOST_PEOPLE = 24; // 1.3 MB each
const NETWORK_MS = 60_000; // after which a network that cannot be had may be another one
let latest = 0; // number of the newest person, of all panels
let fetching = Promise.resolve(); // one at a time

decoder.askBy(askPage);

export class Instant {
  told = {people: 0, answers: 0, previews: 0, delays: [], trouble: null}; // for tests and the curious
  #people = new Map(); // id -> number, null where only Python can tell; oldest first
  #wanted = null; // id of the latest person that was to be prepared
  #notBefore = 0;
  #ask;

  /** @param ask (name of an event, parameters) -> promise of its answer. */
  constructor(ask) {
    this.#ask = ask;
  }

  /** Another photo is shown. */
  clear() {
    for (const number of this.#people.values()) decoder.forget(number);
    this.#people = new Map();
    this.#wanted = null;
    this.told.people = 0;
  }

  #isPossible = () => decoder.isPossible() && performance.now() >= this.#notBefore;

  /**
   * Have the network look at a person, unless another one was wanted since.
   *
   * @param id of the person.
   * @param about parameters of the event "prepare".
   * @returns what Python says of it, {notice} or {problem}; null where it was not asked.
   */
  prepare(id, about) {
    this.#wanted = id;
    const people = this.#people;
    fetching = fetching.then(() => (this.#wanted === id && people === this.#people && !people.has(id) ? this.#fetch(id, about) : null));
    return fetching;
  }

  async #fetch(id, about) {
    const people = this.#people;
    let said = null;
    const supply = async (part) => {
      if (part !== "person") return this.#ask("part", {field: about.field, part});
      said = await this.#ask("prepare", {...about, in_browser: true});
      return said.problem ? said : said.browser ?? {unavailable: "person", reason: "joints are placed one by one"};
    };
    const number = this.#isPossible() ? await this.#equip(supply) : null;
    if (people === this.#people) this.#keep(id, number);
    else if (number) decoder.forget(number);
    return said ?? this.#ask("prepare", about);
  }

  /** Have the worker get what it needs of a person; its number, null where it cannot. */
  async #equip(supply) {
    const {near, far} = portsOf(supply);
    const number = ++latest;
    const answer = await decoder.prepare(number, {port: far}, [far]);
    near.close();
    const reason = answer.error ?? (answer.unavailable && answer.reason);
    if (!reason) return number;
    this.told.trouble = reason;
    if (answer.error || answer.unavailable === "network") this.#notBefore = performance.now() + NETWORK_MS;
    return null;
  }

  #keep(id, number) {
    this.#people.set(id, number);
    const old = [...this.#people.keys()].slice(0, Math.max(this.#people.size - MOST_PEOPLE, 0));
    old.forEach((other) => this.forget(other));
    this.told.people = [...this.#people.values()].filter(Boolean).length;
  }

  /** What is known of a person is of no use any more. */
  forget(id) {
    if (this.#people.get(id)) decoder.forget(this.#people.get(id));
    this.#people.delete(id);
    this.told.people = [...this.#people.values()].filter(Boolean).length;
  }

  /** The person after its latest click, as Python would answer it; null where Python is to be asked. */
  async answer(person) {
    const number = this.#people.get(person.id);
    if (!number) return null;
    const pose = await poses.atRelease(number, queryOf(person));
    if (this.#isLost(person.id, pose)) return null;
    this.told.answers += 1;
    return recordOf(person, pose);
  }

  /** Where the others would go; null where that is not known, or was told just now. */
  async foresee(person) {
    const number = this.#people.get(person.id);
    if (!number) return null;
    const pose = await poses.underMouse(number, queryOf(person));
    if (!pose || (pose.error ? this.#isLost(person.id, pose) : !pose.isCovered)) return null;
    return recordOf(person, pose);
  }

  #isLost(id, pose) {
    if (pose.error) this.told.trouble = pose.error;
    if (!pose.error && pose.isCovered) return false;
    this.forget(id);
    return true;
  }
}

/** A person as the decoder takes it. */
function queryOf({joints, box}) {
  const keypoints = Float64Array.from(joints.flatMap((joint) => (joint ? joint.slice(0, 2) : [NaN, NaN])));
  const fixed = Float64Array.from(joints, (joint) => (joint && isPlaced(joint) ? 1 : 0));
  return {keypoints, fixed, box: Float64Array.from(box)};
}

/** A pose as Python tells it: joints that are not there stay away. */
function recordOf({joints}, {keypoints, scores, visibilities, box, score}) {
  const record = (joint, i) =>
    joint && [keypoints[2 * i], keypoints[2 * i + 1], scores[i], visibilities[i], isPlaced(joint)];
  return {joints: joints.map(record), box, score};
}
