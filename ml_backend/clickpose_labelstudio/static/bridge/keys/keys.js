/** Takes the keys of bindings.js, and leaves all others alone. */
import * as actions from "./actions.js";
import {bindingOf} from "./bindings.js";
import * as frames from "../drawing/frames.js";
import * as lsPage from "../label_studio/page.js";
import * as lsProbes from "../label_studio/probes.js";
import {follow} from "./pointer.js";

function press(event) {
  const action = bindingOf(event)?.action;
  const act = actions[action];
  const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
  const view = lsPage.view();
  if (!act || isTyping || !view || !lsProbes.can(...(actions.NEEDS[action] ?? []))) return;
  if (act !== actions.toggleBones && !lsPage.isEditable(view.annotation)) return;
  event.preventDefault();
  act(view);
  frames.invalidate();
}

/** Take keys from now on. */
export function listen() {
  window.addEventListener("keydown", lsProbes.safely(press), true);
  follow();
}
