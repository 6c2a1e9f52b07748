/** The small panel that opens from the chip: what the state means, the signs, the first keys, and the way to all else. */
import {bindings} from "../keys/bindings.js";
import * as pictures from "./pictures.js";
import {beside} from "./placing.js";
import {signs} from "../drawing/signs.js";

const FIRST_KEYS = ["toggleVisibility", "acceptPerson", "exchangePerson", "nextDoubtful", "toggleBones"];
const CONTENT = `
  <b>Click-Pose</b>
  <p class="detail" hidden></p>
  <p>Drag a wrong keypoint: the rest of that person follows.<br>Draw an empty person box to add somebody.<br>
    A joint is missing: choose its label, then <kbd>Ctrl</kbd>+click its place.</p>
  <table>${FIRST_KEYS.map(keyRow).join("")}</table>
  <div class="signs"></div>
  <p><button type="button" class="all">All keys, and corrections in pictures <kbd>?</kbd></button></p>`;
let panel = null;
let opener = null; // the button that opens it
let byKeyboard = false;

/** Build the panel for a button; the caller puts it on the page. */
export function build(button) {
  opener = button;
  panel = document.createElement("div");
  Object.assign(panel, {className: "help", id: "clickpose-help", hidden: true, tabIndex: -1, innerHTML: CONTENT});
  panel.querySelector(".signs").append(...signs.map((sign) => pictures.signRow(sign)));
  panel.querySelector(".all").addEventListener("click", () => (close(), pictures.open()));
  panel.setAttribute("role", "dialog");
  panel.setAttribute("aria-label", "Click-Pose: keys and colours");
  opener.setAttribute("aria-haspopup", "dialog");
  opener.setAttribute("aria-controls", panel.id);
  opener.setAttribute("aria-expanded", "false");
  opener.addEventListener("click", (event) => {
    byKeyboard = event.detail === 0;
    if (isOpen()) close({focus: true});
    else open();
  });
  return panel;
}

function keyRow(action) {
  const {keys, does, group} = bindings.find((binding) => binding.action === action);
  return `<tr><td>${pictures.spell(keys)}</td><td>${/under the mouse/.test(group) ? `${group}: ` : ""}${does}</td></tr>`;
}

export const isOpen = () => panel !== null && !panel.hidden;

/** The sentences that explain the state, above all else. */
export function explain(sentences) {
  const detail = panel.querySelector(".detail");
  detail.textContent = sentences.join("\n");
  detail.hidden = !sentences.length;
}

/** Sit beside the chip, wherever that is now. */
export function follow() {
  if (isOpen()) beside(opener, panel);
}

function open() {
  panel.hidden = false;
  opener.setAttribute("aria-expanded", "true");
  follow();
  panel.focus({preventScroll: true});
  window.addEventListener("pointerdown", closeOutside, true);
  window.addEventListener("keydown", closeOnEscape, true);
}

/** `focus`: give it back to the button if the keyboard has opened it; after the mouse, Space is Label Studio's again. */
export function close({focus = false} = {}) {
  if (!isOpen()) return;
  panel.hidden = true;
  opener.setAttribute("aria-expanded", "false");
  window.removeEventListener("pointerdown", closeOutside, true);
  window.removeEventListener("keydown", closeOnEscape, true);
  if (focus && byKeyboard) opener.focus({preventScroll: true});
  else opener.blur();
}

function closeOutside(event) {
  if (!panel.contains(event.target) && !opener.contains(event.target)) close();
}

function closeOnEscape(event) {
  if (event.key !== "Escape") return;
  event.preventDefault();
  event.stopPropagation(); // Label Studio would drop the selection as well
  close({focus: true});
}
