/** The page of pictures for annotators: what the signs mean, five typical corrections, all keys. In the script, so offline. */
import {corrections, drawPicture, HEIGHT, WIDTH} from "./corrections.js";
import * as lsLayout from "../label_studio/layout.js";
import {signs} from "../drawing/signs.js";
import {bindings} from "../keys/bindings.js";

const SHARP = 2; // canvas pixels a pixel, for dense screens and for paper
const CSS = `
  #clickpose-pictures {position: fixed; inset: 0; z-index: 100000; overflow: auto; box-sizing: border-box;
    padding: 20px max(24px, calc(50vw - 560px)) 40px; background: var(--paper); color: var(--text); outline: none;
    font: 14px/1.45 system-ui, sans-serif; --text: #24272b; --paper: #fff; --line: #dadce0; --soft: #f1f3f4}
  ${lsLayout.DARK} #clickpose-pictures {--text: #e6e8ea; --paper: #1e2023; --line: #4b4f55; --soft: #34373c}
  #clickpose-pictures h1, #clickpose-pictures h2, #clickpose-pictures h3 {font-weight: 600}
  #clickpose-pictures h1 {margin: 0 60px 4px 0; font-size: 22px}
  #clickpose-pictures h2 {margin: 22px 0 8px; font-size: 16px}
  #clickpose-pictures h3 {margin: 0 0 2px; font-size: 14px}
  #clickpose-pictures p {margin: 0}
  #clickpose-pictures .close {position: fixed; top: 16px; right: 24px; width: 32px; height: 32px; cursor: pointer;
    border: 1px solid var(--line); border-radius: 50%; background: var(--paper); color: inherit; font: 18px/1 system-ui}
  #clickpose-pictures .signs {display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 6px 18px}
  #clickpose-pictures .signs div {display: flex; gap: 10px; align-items: center}
  #clickpose-pictures .signs canvas {flex: none; border-radius: 4px}
  #clickpose-pictures .corrections {display: grid; grid-template-columns: repeat(auto-fill, minmax(min(490px, 100%), 1fr));
    gap: 18px 26px}
  #clickpose-pictures figure {max-width: 560px; margin: 0; break-inside: avoid}
  #clickpose-pictures figure div {display: flex; gap: 8px; align-items: center; margin-bottom: 6px}
  #clickpose-pictures figure canvas {flex: 1; min-width: 0; height: auto; border-radius: 6px}
  #clickpose-pictures .keys {columns: 330px; column-gap: 30px}
  #clickpose-pictures .keys section {break-inside: avoid; padding-bottom: 12px}
  #clickpose-pictures table {font: inherit; color: inherit; border-spacing: 0}
  #clickpose-pictures td {padding: 2px 12px 2px 0; vertical-align: top}
  #clickpose-pictures td:first-child {white-space: nowrap}
  #clickpose-pictures kbd {padding: 0 5px; border: 1px solid var(--line); border-radius: 3px; background: var(--soft);
    color: inherit; font: 12px/1.5 system-ui, sans-serif}
  @media print {
    body:has(> #clickpose-pictures) > :not(#clickpose-pictures) {display: none !important}
    #clickpose-pictures {position: static; padding: 0; --text: #000; --paper: #fff; --soft: #fff; font-size: 11px;
      print-color-adjust: exact}
    #clickpose-pictures .close {display: none}
    #clickpose-pictures .corrections {grid-template-columns: 1fr 1fr}
  }`;
let page = null;
let focusedBefore = null;

export const isOpen = () => Boolean(page?.isConnected);
export const toggle = () => (isOpen() ? close() : open());

export function open() {
  if (isOpen()) return;
  page ??= build();
  focusedBefore = document.activeElement;
  document.body.append(page);
  page.scrollTop = 0;
  page.focus({preventScroll: true});
  window.addEventListener("keydown", press, true);
}

export function close() {
  page.remove();
  window.removeEventListener("keydown", press, true);
  if (focusedBefore?.isConnected) focusedBefore.focus({preventScroll: true});
}

/** All keys are this page's while it is open; those that scroll do as ever. */
function press(event) {
  event.stopImmediatePropagation();
  if (event.key === "Escape" || event.key === "?") {
    event.preventDefault();
    close();
  } else if (event.key === "Tab") {
    event.preventDefault(); // one button is all there is to go to
    page.querySelector(".close").focus();
  }
}

function build() {
  const made = document.createElement("div");
  Object.assign(made, {id: "clickpose-pictures", tabIndex: -1});
  for (const [name, value] of Object.entries({role: "dialog", "aria-modal": "true", "aria-label": "Click-Pose in pictures"}))
    made.setAttribute(name, value);
  made.innerHTML = `<style>${CSS}</style><button type="button" class="close" aria-label="Close" title="Close (Esc)">×</button>
    <h1>Click-Pose in pictures</h1><p>Correct one keypoint, and the rest of that person follows.</p>
    <h2>What the signs mean</h2><div class="signs"></div>
    <h2>Five typical corrections</h2><div class="corrections"></div>
    <h2>Keys</h2><div class="keys">${keysTable()}</div>`;
  made.querySelector(".signs").append(...signs.map(signRow));
  made.querySelector(".corrections").append(...corrections.map(figure));
  made.querySelector(".close").addEventListener("click", close);
  return made;
}

function canvas(width, height, label, draw) {
  const made = Object.assign(document.createElement("canvas"), {width: width * SHARP, height: height * SHARP});
  made.style.width = `${width}px`;
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", label);
  const context = made.getContext("2d");
  context.scale(SHARP, SHARP);
  draw(context);
  return made;
}

export function signRow({means, draw}) {
  const row = document.createElement("div");
  const drawn = canvas(48, 28, means, (context) => {
    context.fillStyle = "#7b8794"; // as a photo is: neither dark nor light
    context.fillRect(0, 0, 48, 28);
    draw(context, 24, 14);
  });
  row.append(drawn, Object.assign(document.createElement("span"), {textContent: means}));
  return row;
}

function figure({name, title, does, action, before, after}) {
  const made = document.createElement("figure");
  const picture = (label, draw) => canvas(WIDTH, HEIGHT, label, (context) => drawPicture(context, draw));
  const row = document.createElement("div");
  row.append(picture(`${title}: before`, before), "→", picture(`${title}: after`, after));
  const caption = document.createElement("figcaption");
  const keys = bindings.find((binding) => binding.action === action && action)?.keys;
  caption.innerHTML = `<h3>${title}</h3><p>${does} ${keys ? spell(keys) : ""}</p>`;
  made.append(row, caption);
  made.dataset.name = name;
  return made;
}

export const spell = (keys) => keys.map((key) => `<kbd>${key}</kbd>`).join(" ");

/** All keys by groups, in the order of the list. */
function keysTable() {
  const row = ({keys, does}) => `<tr><td>${spell(keys)}</td><td>${does}</td></tr>`;
  const groups = [...new Set(bindings.map((binding) => binding.group))];
  const table = (group) => bindings.filter((binding) => binding.group === group).map(row).join("");
  return groups.map((group) => `<section><h3>${group}</h3><table>${table(group)}</table></section>`).join("");
}
