/** Takes the keys of bindings.js, and leaves all others alone. */
import * as actions from "./actions.js";
import {bindingOf} from "./bindings.js";
import * as lsPage from "../label_studio/page.js";
import {follow} from "./pointer.js";

function press(event) {
  const act = actions[bindingOf(event)?.action];
  const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
  const view = lsPage.view();
  if (!act || isTyping || !view) return;
  if (act !== actions.toggleBones && !lsPage.isEditable(view.annotation)) return;
  event.preventDefault();
  act(view);
}

/** Take keys from now on. */
export function listen() {
  window.addEventListener("keydown", press, true);
  follow();
}
