/**
 * Space and drag moves the photo, as it does elsewhere. Label Studio knows no such thing: the drag would move the box or
 * the joint under the mouse. While Space is down the bridge lends Label Studio's own hand.
 */
import * as lsPage from "../label_studio/page.js";
import {can, safely} from "../label_studio/probes.js";
import * as lsTools from "../label_studio/tools.js";

const OF_THEIR_OWN = "input, textarea, select, button, a, video, audio, [contenteditable], [role=button]";
let giveBack = null;

function press(event) {
  if (event.code !== "Space" || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
  if (event.target.closest?.(OF_THEIR_OWN)) return;
  const view = lsPage.view();
  if (!view || !can("hand") || view.annotation.isDrawing) return;
  event.preventDefault(); // the page would scroll
  giveBack ??= lsTools.takeHand(view.image);
}

function release(event) {
  if (event.type === "keyup" && event.code !== "Space") return;
  giveBack?.();
  giveBack = null;
}

/** Watch the space bar from now on. */
export function listen() {
  window.addEventListener("keydown", safely(press), true);
  window.addEventListener("keyup", safely(release), true);
  window.addEventListener("blur", safely(release));
}
