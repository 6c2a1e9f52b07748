/** Takes the keys of bindings.js, and leaves all others alone. */
import * as actions from "./actions.js";
import {bindingOf} from "./bindings.js";
import * as frames from "../drawing/frames.js";
import * as lsHotkeys from "../label_studio/hotkeys.js";
import * as lsPage from "../label_studio/page.js";
import * as lsProbes from "../label_studio/probes.js";
import * as marking from "./marking.js";
import * as notices from "../surface/notices.js";
import {follow, isPressed} from "./pointer.js";
import * as rounds from "./rounds.js";

function press(event) {
  const binding = bindingOf(event);
  const act = actions[binding?.action] ?? rounds[binding?.action];
  const needs = actions.NEEDS[binding?.action] ?? [];
  const isTyping = event.target.closest?.("input, textarea, select, [contenteditable], [aria-modal]");
  const view = lsPage.view();
  if (!act || isTyping || !view || !lsProbes.can(...needs)) return;
  if (isPressed()) return; // what is being dragged is a step of its own
  if (needs.includes("editing") && !lsPage.isEditable(view.annotation)) {
    notices.say("This cannot be edited: it is a prediction, or somebody else's.", {kind: "key"});
    return;
  }
  if (lsProbes.can("hotkeys") && lsHotkeys.isTaken(view.annotation, binding.keys)) {
    const keys = binding.keys.join("+");
    notices.say(`${keys} is a hotkey of this project's configuration or of yours: it does only that.`, {kind: "key"});
    return;
  }
  event.preventDefault();
  act(view);
  frames.invalidate();
}

/** Take keys from now on. */
export function listen() {
  window.addEventListener("keydown", lsProbes.safely(press), true);
  follow();
  marking.listen();
}
