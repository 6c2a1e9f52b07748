/** The worker that decodes poses beside the page, and whether this browser has one. */
import {work} from "./worker.js";

const SLOW_MS = 1500; // a decoding that takes longer is not waited for
const FETCH_MS = 60000; // and a fetch: the runtime comes once, over a line that may be slow
const MOST_FAILURES = 3; // decodings in a row, after which the backend is asked for everything
const PAUSE_MS = 60000; // for so long: the machine may only have been busy

let worker = null;
let asker = null; // how it gets what it needs, see worker.js
let failures = 0;
let notBefore = 0; // when another decoding is tried; never, where this browser cannot
let reason = ""; // why none is tried now
let latest = 0; // number of the newest message
const waiting = new Map(); // number of a message -> how to answer it

/** Have the worker get what it needs by a function of its own text, see {@link work}. */
export const askBy = (ask) => (asker = ask);

/** Whether edits are to be tried here at all. */
export const isPossible = () => performance.now() >= notBefore;

function start() {
  const address = URL.createObjectURL(new Blob([`(${work})(${asker})`], {type: "text/javascript"}));
  worker = new Worker(address, {type: "module"});
  URL.revokeObjectURL(address);
  worker.onmessage = ({data}) => settle(data.number, data);
  worker.onerror = (event) => giveUp(event.message ?? "the worker does not run here", Infinity);
}

function settle(number, answer) {
  waiting.get(number)?.(answer);
  waiting.delete(number);
}

/** Do without a worker from now on, or for a while. */
function giveUp(why, pauseMs) {
  reason = why;
  notBefore = performance.now() + pauseMs;
  failures = 0;
  for (const number of [...waiting.keys()]) settle(number, {error: reason});
  worker?.terminate();
  worker = null;
}

/** Ask the worker; what it says, or {error}. */
async function ask(message, timeoutMs, transferred = []) {
  if (!isPossible()) return {error: reason};
  try {
    if (!worker) start();
  } catch (error) {
    giveUp(String(error), Infinity);
    return {error: String(error)};
  }
  const number = ++latest;
  const answer = await new Promise((done) => {
    waiting.set(number, done);
    setTimeout(() => settle(number, {error: "too slow"}), timeoutMs);
    worker.postMessage({...message, number}, transferred);
  });
  if (answer.isFinal) giveUp(answer.error, Infinity);
  return answer;
}

/** Have the worker fetch what it needs of a person; `source` is what the worker asks by. */
export const prepare = (person, source, transferred) => ask({kind: "prepare", person, source}, FETCH_MS, transferred);

/** Forget a person. */
export const forget = (person) => worker?.postMessage({kind: "forget", person, number: 0});

/** The new pose after clicks, in `views` (1 or 2) views of the person; {error} where there is none. */
export async function decode(person, {keypoints, fixed, box}, views) {
  const answer = await ask({kind: "decode", person, views, keypoints, fixed, box}, SLOW_MS);
  failures = answer.error ? failures + 1 : 0;
  if (failures === MOST_FAILURES) giveUp(answer.error, PAUSE_MS);
  return answer;
}
