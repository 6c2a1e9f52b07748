/** The one quiet notice: it says something for a moment, takes no mouse, and never lies on what is being edited. */
import * as lsLayout from "../label_studio/layout.js";
import {offTheWork, pressOurs} from "./placing.js";

const SHOWN_MS = 6000; // and longer for long sentences and those with something to do
const SHOWN_MS_PER_LETTER = 45;
const AT_LEAST_MS = 1500; // before another one takes its place
const QUEUE = 3; // so many wait at most; the oldest goes
const CSS = `
  #clickpose-notice {position: fixed; z-index: 1001; display: flex; gap: 10px; align-items: center; max-width: 380px;
    padding: 5px 12px; border-radius: 8px; background: #2b2f33; color: #fff; font: 12px/1.35 system-ui, sans-serif;
    box-shadow: 0 2px 10px #0004; pointer-events: none; overflow-wrap: anywhere}
  #clickpose-notice:empty {display: none}
  #clickpose-notice button {flex: none; padding: 2px 10px; border: 1px solid #fff9; border-radius: 10px; background: none;
    color: inherit; font: inherit; font-weight: 600; cursor: pointer; pointer-events: auto}
  ${lsLayout.DARK} #clickpose-notice {background: #e8eaed; color: #1f2226}
  ${lsLayout.DARK} #clickpose-notice button {border-color: #0007}`;
let root = null;
let shown = null; // the notice on the page
let waiting = [];
let timer = 0;
let unwatch = null;
const said = new Set(); // sentences that are not said again until things have worked

/**
 * Say something for a moment. Several in a row come one after the other, each for a moment at least.
 *
 * @param text a sentence or two.
 * @param once not again until {@link worksAgain}.
 * @param action {label, run}: a button.
 * @param kind a notice of the same kind is replaced at once, as what a key did is by what it does next.
 */
export function say(text, {once = false, action = null, kind = null} = {}) {
  if (once && said.has(text)) return;
  if (once) said.add(text);
  const notice = {text, action, kind, since: 0};
  waiting = waiting.filter((other) => other.text !== text && !(kind && other.kind === kind));
  if (!shown || shown.text === text || (kind && shown.kind === kind)) {
    show(notice);
    return;
  }
  waiting = [...waiting, notice].slice(-QUEUE);
  next(Math.max(0, AT_LEAST_MS - (performance.now() - shown.since)));
}

/** Things have worked: what was said once may be said once more. */
export const worksAgain = () => said.clear();

/** Say nothing more of a kind: it is not so any more. */
export function withdraw(kind) {
  waiting = waiting.filter((other) => other.kind !== kind);
  if (shown?.kind === kind) dismiss();
}

/** Take the notice away; those that wait come. */
export function dismiss() {
  clearTimeout(timer);
  shown = null;
  unwatch?.();
  unwatch = null;
  root?.replaceChildren();
  if (waiting.length) show(waiting.shift());
}

function next(afterMs) {
  clearTimeout(timer);
  timer = setTimeout(dismiss, afterMs);
}

function show(notice) {
  attach();
  shown = {...notice, since: performance.now()};
  root.replaceChildren(Object.assign(document.createElement("span"), {textContent: notice.text}));
  if (notice.action) root.append(button(notice.action));
  offTheWork(root);
  unwatch ??= lsLayout.watch(() => shown && offTheWork(root)); // the page may still be loading
  const length = SHOWN_MS + SHOWN_MS_PER_LETTER * Math.max(0, notice.text.length - 60);
  next(waiting.length ? AT_LEAST_MS : length * (notice.action ? 2 : 1));
}

function button({label, run}) {
  const made = Object.assign(document.createElement("button"), {type: "button", textContent: label});
  made.addEventListener("click", () => {
    dismiss();
    run();
  });
  return made;
}

function attach() {
  if (!root) {
    root = document.createElement("div");
    root.id = "clickpose-notice";
    root.setAttribute("role", "status"); // read out by screen readers, when they have nothing else to read
    pressOurs(root);
    const style = Object.assign(document.createElement("style"), {textContent: CSS});
    document.head.append(style);
    window.addEventListener("keydown", (event) => event.key === "Escape" && shown && dismiss(), true);
    window.addEventListener("resize", () => shown && offTheWork(root));
  }
  if (!root.isConnected) document.body.append(root);
}
