/**
 * How far the pre-annotation is that the launcher does in the background. It says so at the address that it puts into
 * the script's tag; delivered in another way, there is none, and nothing is asked for.
 *
 * In the editor the chip tells it, in the list of photos, where there is no chip, a line in the header.
 */
import * as chip from "./chip.js";
import * as lsLayout from "../label_studio/layout.js";
import * as lsPage from "../label_studio/page.js";
import * as notices from "./notices.js";
import {findPlace} from "./placing.js";

const address = document.currentScript?.dataset.progress;
const LOOK_MS = 4000; // between looks, only while something is going on
const CSS = `
  #clickpose-progress {position: fixed; z-index: 1000; box-sizing: border-box; height: 25px; padding: 2px 12px;
    overflow: hidden; border: 1px solid #dadce0; border-radius: 13px; background: #fff; color: #3c4043;
    font: 12px/19px system-ui, sans-serif; white-space: nowrap; pointer-events: none}
  #clickpose-progress i {position: absolute; left: 0; bottom: 0; height: 2px; background: #2f8fe0}
  ${lsLayout.DARK} #clickpose-progress {border-color: #54585e; background: #26282c; color: #e3e5e8}`;
let line = null;
let unwatch = null;
let wasGoingOn = false;

/** Follow the pre-annotation until it is through. */
export function watch() {
  if (address) look();
}

async function look() {
  const progress = document.hidden ? null : await ask();
  if (progress) show(progress);
  if (progress) wasGoingOn = isGoingOn(progress);
  if (wasGoingOn || document.hidden) setTimeout(look, LOOK_MS);
}

async function ask() {
  try {
    return await (await fetch(address, {credentials: "omit"})).json();
  } catch {
    return null; // Label Studio is away: it is being started again
  }
}

const isGoingOn = ({state}) => state === "running" || state === "waiting";

function show(progress) {
  const {done, total, project} = progress;
  const isOurs = String(project) === lsPage.projectId() && total > 0;
  if (!isGoingOn(progress) || !isOurs) {
    chip.drop("progress");
    hideLine();
    if (isOurs && wasGoingOn) notices.say(`${done} of ${total} photos are pre-annotated.`);
    return;
  }
  const sentence = sentenceOf(progress);
  chip.keep("progress", `${sentence}.`, `labelling ${done} of ${total} photos`);
  if (chip.current() === "none") showLine(sentence, done / total);
  else hideLine();
}

function sentenceOf({state, done, total, left}) {
  const sofar = `Pre-annotating: ${done} of ${total} photos`;
  if (state === "waiting") return `${sofar}, waiting for the backend`;
  return left === null ? sofar : `${sofar}, ${spoken(left)} left`;
}

/** A length of time as one would say it. */
function spoken(seconds) {
  if (seconds < 55) return `about ${Math.max(5 * Math.round(seconds / 5), 5)} s`;
  if (seconds < 3300) return `about ${Math.round(seconds / 60)} min`;
  return `about ${Math.round(seconds / 1800) / 2} h`;
}

function showLine(sentence, share) {
  line ??= build();
  if (!line.isConnected) document.body.append(line);
  line.querySelector("span").textContent = sentence;
  line.querySelector("i").style.width = `${100 * share}%`;
  unwatch ??= lsLayout.watch(placeLine);
  placeLine();
}

function placeLine() {
  const form = {name: "line", width: line.offsetWidth, height: line.offsetHeight};
  const place = findPlace([form, {...form}], line); // with some room around, else without
  line.style.visibility = place ? "visible" : "hidden";
  if (place) Object.assign(line.style, {left: `${place.left}px`, top: `${place.top}px`});
}

function hideLine() {
  unwatch?.();
  unwatch = null;
  line?.remove();
}

function build() {
  const made = document.createElement("div");
  made.id = "clickpose-progress";
  made.setAttribute("role", "status");
  made.innerHTML = "<span></span><i></i>";
  made.append(Object.assign(document.createElement("style"), {textContent: CSS}));
  return made;
}
