/** The small status chip with its help, and the one quiet notice. */
const STATES = {
  ready: {text: "ready", color: "#2f8fe0"},
  refining: {text: "refining", color: "#ffb62e"},
  refused: {text: "edit not refined", color: "#e0301e"},
  offline: {text: "offline", color: "#9aa0a6"},
  untested: {text: "off on this version", color: "#9aa0a6"},
};
const HELP = `
  <b>Click-Pose</b>
  <p class="detail" hidden></p>
  <p>Drag a wrong keypoint: the rest of that person follows.<br>Draw an empty person box to add somebody.<br>
    A joint is missing: choose its label, then <kbd>Ctrl</kbd>+click its place.</p>
  <table>
    <tr><td><kbd>Shift</kbd> <kbd>B</kbd></td><td>bones on or off</td></tr>
    <tr><td><kbd>Shift</kbd> <kbd>V</kbd></td><td>keypoint under the mouse: visible or occluded</td></tr>
    <tr><td><kbd>Shift</kbd> <kbd>A</kbd></td><td>accept the person under the mouse as it is</td></tr>
  </table>
  <p class="scale"><span>doubtful</span><i></i><span>sure</span></p>
  <p>Dashed: occluded. Ring: placed or accepted by you.</p>`;
const CSS = `
  #clickpose-chip {position: fixed; left: 12px; bottom: 12px; z-index: 900; font: 12px/1.4 system-ui, sans-serif;
    color: #3c4043; user-select: none}
  #clickpose-chip > button {display: flex; gap: 6px; align-items: center; padding: 3px 10px; border-radius: 12px;
    border: 1px solid #dadce0; background: #fffffff0; color: inherit; font: inherit; cursor: pointer}
  #clickpose-chip .more {width: 14px; border-radius: 50%; background: #eceff1; text-align: center}
  #clickpose-chip .detail {padding: 4px 8px; border-left: 3px solid #e0301e; overflow-wrap: anywhere}
  #clickpose-chip .dot {width: 8px; height: 8px; border-radius: 50%}
  #clickpose-chip .help, #clickpose-chip .notice {position: absolute; left: 0; bottom: 32px; width: 310px;
    padding: 10px 14px; border-radius: 8px; background: #fff; box-shadow: 0 2px 12px #0003}
  #clickpose-chip .help td {padding: 2px 10px 2px 0; vertical-align: top; white-space: nowrap}
  #clickpose-chip .help td + td {white-space: normal}
  #clickpose-chip .help p {margin: 6px 0}
  #clickpose-chip kbd {padding: 0 4px; border: 1px solid #dadce0; border-radius: 3px; background: #f8f9fa}
  #clickpose-chip .scale {display: flex; gap: 8px; align-items: center}
  #clickpose-chip .scale i {flex: 1; height: 5px; border-radius: 3px;
    background: linear-gradient(90deg, #e0301e, #ffb62e, #60cdd8, #2678e2)}
  #clickpose-chip .notice {background: #3c4043; color: #fff; transition: opacity .4s}
  #clickpose-chip [hidden] {display: none}`;
const GAP_PX = 12;
const NOTICE_MS = 6000;
let root = null;
let noticeTimer = 0;
let said = null; // the latest notice, until things have worked again
let state = "none";

function build() {
  const style = document.createElement("style");
  style.textContent = CSS;
  root = document.createElement("div");
  root.id = "clickpose-chip";
  root.innerHTML =
    `<div class="help" hidden>${HELP}</div><div class="notice" role="status" hidden></div>` +
    `<button type="button"><span class="dot"></span><span class="text"></span>` +
    `<span class="more">?</span></button>`;
  root.querySelector("button").addEventListener("click", () => {
    const help = root.querySelector(".help");
    help.hidden = !help.hidden;
  });
  root.append(style);
}

function attach() {
  if (!root) build();
  if (!root.isConnected) document.body.append(root);
}

/** Show a state; `trouble`, a sentence, is read when the mouse rests on the chip and in its help. */
export function show(newState, trouble = "") {
  attach();
  state = newState;
  root.dataset.state = state;
  root.querySelector(".text").textContent = `Click-Pose · ${STATES[state].text}`;
  root.querySelector(".dot").style.background = STATES[state].color;
  root.querySelector("button").title = trouble || "Keys and colours";
  const detail = root.querySelector(".detail");
  detail.textContent = trouble;
  detail.hidden = !trouble;
  if (state === "ready") said = null;
}

/** What the chip shows; "none" where it is hidden. */
export const current = () => state;

export function hide() {
  state = "none";
  root?.remove();
}

/** Sit in Label Studio's bottom bar, between its two groups of buttons, where there is room. */
export function place() {
  const bar = document.querySelector(".lsf-bottombar");
  const [left, right] = [...(bar?.querySelectorAll(":scope > .lsf-bottombar__group") ?? [])].map((group) =>
    group.getBoundingClientRect(),
  );
  if (!root || !right || right.left - left.right < root.offsetWidth + 2 * GAP_PX) return;
  const {bottom, height} = bar.getBoundingClientRect();
  root.style.left = `${Math.round(left.right + GAP_PX)}px`;
  root.style.bottom = `${Math.round(window.innerHeight - bottom + (height - root.offsetHeight) / 2)}px`;
}

/** Say something for a moment, and once until things have worked again. */
export function noticeOnce(text) {
  if (said === text) return;
  said = text;
  attach();
  const notice = root.querySelector(".notice");
  notice.textContent = text;
  notice.hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => (notice.hidden = true), NOTICE_MS);
}
