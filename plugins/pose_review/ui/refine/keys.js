/** Takes the keys of bindings.js while the panel is on the screen, and leaves all others alone. */
import * as actions from "./actions.js";
import {actionOf} from "./bindings.js";
import {isElsewhere, takeKeys} from "../pressed.js";

const HELD = ["undo", "redo", "nextDoubtful", "previousDoubtful"]; // go on while the key is held

/** Listen until the returned function is called; `root()` is the panel's element. */
export function listen(root, session, board) {
  const press = (event) => {
    if (isElsewhere(event, root())) return;
    if (event.key === " " && event.target.tagName !== "BUTTON") {
      take(event);
      board.holdSpace(true);
      return;
    }
    const action = actionOf(event);
    if (!action || !session.photo) return;
    if (action === "leave" && !actions.hasToLeave(session, board)) return;
    if (event.key === "Enter" && event.target.tagName === "BUTTON") return; // presses that button
    take(event);
    if (!event.repeat || HELD.includes(action)) actions[action](session, board);
  };
  const release = ({key}) => key === " " && board.holdSpace(false);
  document.addEventListener("keydown", press, true); // before the app's own shortcuts
  document.addEventListener("keyup", release, true);
  const leave = takeKeys(root);
  return () => {
    leave();
    document.removeEventListener("keydown", press, true);
    document.removeEventListener("keyup", release, true);
  };
}

function take(event) {
  event.preventDefault();
  event.stopPropagation();
}
