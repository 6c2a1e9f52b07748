/** The small status chip: one state in a few words, its sentence in the title and the help. */
import * as help from "./help.js";
import * as lsLayout from "../label_studio/layout.js";
import * as notices from "./notices.js";
import {findPlace, pressOurs} from "./placing.js";

const BLUE = "#2f8fe0";
const AMBER = "#ffb62e";
const RED = "#e0301e";
const GREY = "#9aa0a6";
/** The first of those that hold is shown, but for the state of the loop itself, which comes first unless it is ready. */
const STATES = {
  ready: {text: "ready", color: BLUE},
  refining: {text: "refining", color: AMBER},
  waiting: {text: "waiting to submit", color: AMBER},
  refused: {text: "edit not refined", color: RED, means: "Your edit is kept; the other joints stay where they are."},
  offline: {
    text: "offline",
    color: GREY,
    means: "What you do is kept, but nothing follows it. The backend is looked for by itself; the chip shows when it is back.",
  },
  off: {text: "off on this page", color: GREY},
  configuration: {text: "check the labels", color: RED},
  limited: {text: "partly off on this version", color: AMBER},
  progress: {text: "labelling photos", color: BLUE},
  untried: {text: "ready", color: BLUE},
};
const CSS = `
  #clickpose-chip {position: fixed; left: 12px; bottom: 12px; z-index: 1000; font: 12px/1.4 system-ui, sans-serif;
    color: var(--text); user-select: none; --text: #3c4043; --paper: #fff; --line: #dadce0; --soft: #f1f3f4}
  ${lsLayout.DARK} #clickpose-chip {--text: #e3e5e8; --paper: #26282c; --line: #54585e; --soft: #3a3d42}
  #clickpose-chip > button {display: flex; gap: 6px; align-items: center; box-sizing: border-box; height: 25px;
    padding: 0 10px; border-radius: 13px; border: 1px solid var(--line); background: var(--paper); color: inherit;
    font: inherit; white-space: nowrap; cursor: pointer}
  #clickpose-chip > button:focus-visible {outline: 2px solid ${BLUE}; outline-offset: 1px}
  #clickpose-chip .text {display: inline-block; min-width: 50px; text-align: left}
  #clickpose-chip .more {width: 14px; border-radius: 50%; background: var(--soft); text-align: center}
  #clickpose-chip .dot {flex: none; width: 8px; height: 8px; border-radius: 50%; background: var(--state)}
  #clickpose-chip[data-form=short] .name, #clickpose-chip[data-form=dot] .name,
  #clickpose-chip[data-form=dot] .text, #clickpose-chip[data-form=dot] .more {display: none}
  #clickpose-chip[data-form=dot] > button {width: 22px; height: 22px; padding: 0; justify-content: center}
  #clickpose-chip[data-form=none] {visibility: hidden}
  #clickpose-chip .help {position: fixed; box-sizing: border-box; width: 338px; max-width: calc(100vw - 16px);
    padding: 10px 14px; overflow: auto; border: 1px solid var(--line); border-radius: 8px; background: var(--paper);
    box-shadow: 0 2px 12px #0005; user-select: text; outline: none; visibility: visible}
  #clickpose-chip .help td {padding: 2px 10px 2px 0; vertical-align: top; white-space: nowrap}
  #clickpose-chip .help td + td {white-space: normal}
  #clickpose-chip .help p {margin: 6px 0}
  #clickpose-chip .detail {padding: 4px 8px; border-left: 3px solid var(--state); overflow-wrap: anywhere; white-space: pre-line}
  #clickpose-chip kbd {padding: 0 4px; border: 1px solid var(--line); border-radius: 3px; background: var(--soft);
    color: inherit; font: inherit}
  #clickpose-chip .signs {display: grid; gap: 3px; margin: 8px 0}
  #clickpose-chip .signs div {display: flex; gap: 8px; align-items: center}
  #clickpose-chip .signs canvas {flex: none; border-radius: 4px}
  #clickpose-chip .all {padding: 3px 10px; border: 1px solid var(--line); border-radius: 12px; background: none;
    color: inherit; font: inherit; cursor: pointer}
  #clickpose-chip [hidden] {display: none}`;
const AS_WIDE = [STATES.ready.text, STATES.refining.text]; // as each other: no edit makes the chip look for a place
const FORMS = ["whole", "short", "dot"]; // as there is room
let root = null;
let unwatch = null;
let sizes = {text: null, forms: []}; // how large the chip is in each form, with this text
let state = "none";
let trouble = "";
const standing = new Map(); // state -> {text, sentence}: what holds besides, until it is dropped

function build() {
  root = document.createElement("div");
  root.id = "clickpose-chip";
  root.innerHTML =
    `<button type="button"><span class="dot"></span><span><span class="name">Click-Pose · </span>` +
    `<span class="text"></span></span><span class="more">?</span></button>`;
  root.append(help.build(root.querySelector("button")));
  root.append(Object.assign(document.createElement("style"), {textContent: CSS}));
  pressOurs(root);
}

function attach() {
  if (!root) build();
  if (root.isConnected) return;
  document.body.append(root);
  unwatch ??= lsLayout.watch(place);
}

/** Show a state of the loop; `sentence` is read when the mouse rests on the chip, and in its help. */
export function show(newState, sentence = "") {
  state = newState;
  trouble = sentence;
  if (state === "ready") notices.worksAgain();
  render();
}

/** Show what holds besides the state of the loop, such as trouble with the labels, until it is dropped. */
export function keep(kind, sentence, text = STATES[kind].text) {
  const now = standing.get(kind);
  if (now?.sentence === sentence && now.text === text) return;
  standing.set(kind, {sentence, text});
  render();
}

export function drop(kind) {
  if (standing.delete(kind)) render();
}

/** What the loop is at; "none" where the chip is hidden. */
export const current = () => state;

export function hide() {
  state = "none";
  help.close();
  unwatch?.();
  unwatch = null;
  root?.remove();
}

function render() {
  if (state === "none") return;
  attach();
  const first = Object.keys(STATES).find((kind) => standing.has(kind));
  const shown = state === "ready" && first ? first : state;
  const sentences = [trouble, ...[...standing.values()].map((fact) => fact.sentence)].filter(Boolean);
  const text = standing.get(shown)?.text ?? STATES[shown].text;
  root.dataset.state = shown;
  root.style.setProperty("--state", STATES[shown].color);
  const button = root.querySelector("button");
  button.title = sentences.join("\n") || "Keys and colours";
  button.setAttribute("aria-label", `Click-Pose: ${text}. Keys and colours`);
  help.explain([...sentences, STATES[shown].means].filter(Boolean));
  const label = root.querySelector(".text");
  if (label.textContent === text && root.dataset.form) return;
  const isAsWide = AS_WIDE.includes(text) && AS_WIDE.includes(label.textContent);
  label.textContent = text;
  if (!isAsWide || !root.dataset.form) place();
}

/** Sit where nothing of Label Studio's is: in its bottom bar, else its header, smaller where there is little room. */
export function place() {
  if (!root?.isConnected) return;
  const text = root.querySelector(".text").textContent;
  if (sizes.text !== text) sizes = {text, forms: FORMS.map(measure)};
  const found = findPlace(sizes.forms, root);
  root.dataset.form = found?.name ?? "none";
  if (!found) return;
  Object.assign(root.style, {left: `${found.left}px`, top: `${found.top}px`, bottom: "auto"});
  help.follow();
}

function measure(name) {
  root.dataset.form = name;
  const {offsetWidth: width, offsetHeight: height} = root.querySelector("button");
  return {name, width, height};
}
