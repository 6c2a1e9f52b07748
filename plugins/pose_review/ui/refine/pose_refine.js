/** The panel: the canvas with its buttons. schema.view.events: name -> URI of the event, see panels/refine.py. */
import {React, h, operators, state} from "../app.js";
import * as actions from "./actions.js";
import {Board} from "./board.js";
import {useFollowing} from "./following.js";
import {Help, Legend} from "./help.js";
import * as keys from "./keys.js";
import {can, missing} from "../probes.js";
import {Session} from "./session.js";
import {dress} from "./style.js";

const LEAST_PX = 340; // height of the panel
const NO_ANSWER = "The app did not answer; its log says more.";

export function PoseRefine(props) {
  return can("asking") ? h(Refine, props) : h("div", {"data-cy": "pose-refine"}, missing()[0]);
}

function Refine({schema}) {
  const [session, board] = useSession(schema.view.events);
  const root = React.useRef(null);
  useFollowing(session, board, root);
  React.useEffect(() => keys.listen(() => root.current, session, board), []);
  const height = useHeight(root);
  const {photo, problem} = session;
  return h("div", {ref: root, className: "cpr", style: {height}, "data-cy": "pose-refine", "aria-busy": session.busy > 0},
    h(Steps, {session, board}),
    h(Choices, {session, board}),
    h("div", {className: "cpr-says", role: "status", title: session.says, "data-cy": "refine-says"}, session.says || standing(session)),
    h(Surface, {session, board, problem: problem ?? (photo ? null : "…")}),
    h(Legend));
}

/** A session and its board, which redraw the panel. */
function useSession(events) {
  const trigger = operators.useTriggerPanelEvent();
  const refresh = can("showing") ? state.useRefreshSample() : null;
  const latest = React.useRef({});
  latest.current = {trigger, events, refresh};
  const [, redraw] = React.useReducer((count) => count + 1, 0);
  const kept = React.useRef(null);
  if (!kept.current) {
    dress();
    const session = new Session((name, params) => new Promise((resolve) => {
      const {trigger: ask, events: uris} = latest.current;
      ask(uris[name], params, false, (answer) => {
        resolve(answer?.result ?? {problem: answer?.errorMessage ?? NO_ANSWER});
        return false; // told here, not on a page of its own
      });
    }));
    session.samplesChanged = (samples) => {
      if (latest.current.refresh) samples.forEach((sample) => latest.current.refresh(sample));
      else if (samples.length) operators.executeOperator("reload_samples");
    };
    kept.current = [session, new Board(session, redraw)];
  }
  React.useEffect(() => kept.current[0].subscribe(redraw), []);
  return kept.current;
}

/** The height that the panel's surroundings have for it: so that it is all there without scrolling. */
function useHeight(root) {
  const [height, setHeight] = React.useState(600);
  React.useLayoutEffect(() => {
    let around = root.current.parentElement;
    while (around.parentElement && !/(auto|scroll)/.test(getComputedStyle(around).overflowY)) around = around.parentElement;
    const measure = () => {
      if (!root.current || !around.clientHeight) return;
      const above = root.current.getBoundingClientRect().top - around.getBoundingClientRect().top + around.scrollTop;
      setHeight(Math.max(LEAST_PX, Math.floor(around.clientHeight - above - 18)));
    };
    const observer = new ResizeObserver(measure);
    observer.observe(around);
    measure();
    return () => observer.disconnect();
  }, []);
  return height;
}

/** What is said where nothing has happened: who is chosen, and what the network is. */
function standing(session) {
  const person = session.person();
  if (!person) return session.photo ? "Nobody was found in this photo: add people with +." : "";
  return session.notice || missing()[0] || "Drag a joint to where it belongs: the others follow. Press ? for all keys and signs.";
}

const button = (label, onClick, more = {}) => h("button", {type: "button", onClick, key: label, ...more}, label);

function Steps({session, board}) {
  const {photo} = session;
  const stored = session.stored.get(session.chosen);
  const act = (name) => () => actions[name](session, board);
  const isNone = !photo || !session.person();
  const isDirty = Boolean(photo) && session.isDirty();
  const toggle = (label, name, isOn, title) => button(label, act(name), {"aria-pressed": Boolean(isOn), disabled: !photo, title});
  return h("div", {className: "cpr-bar"},
    button("Undo", act("undo"), {disabled: !(session.past.length || stored?.saved || session.visited.length), title: "Undo a step: a correction, or a save (Z)"}),
    button("Redo", act("redo"), {disabled: !session.future.length, title: "Do it again (Y)"}),
    button("Save", act("save"), {disabled: !isDirty, className: "cpr-main", title: "Save all of the photo (Enter)"}),
    button("Accept", act("acceptAndGo"), {disabled: isNone, title: "Save, accept the person, and go on (D)"}),
    button("Next", act("next"), {disabled: !photo, title: "Next person in the queue (N)"}),
    h("span", {className: "cpr-gap", key: "gap"}),
    toggle("Add person", "addPerson", board.mode === "box", "Draw a box around a person (+)"),
    toggle("Before", "compare", board.isCompared, "As it was before, beside what it is (B)"),
    toggle("Truth", "toggleTruth", board.isTruthShown, "What is labelled, beside what is predicted (T)"),
    toggle("Names", "toggleNames", board.areNamesShown, "Names of the joints (Shift+J)"),
    button("Zoom", act("toggleWhole"), {disabled: !photo, title: "Whole photo, or the person (W)"}),
    toggle("?", "toggleHelp", board.isHelpShown, "Signs and keys (?)"));
}

function Choices({session, board}) {
  const {photo, people, chosen, joint} = session;
  if (!photo) return h("div", {className: "cpr-bar cpr-line"});
  const choose = (event) => {
    session.choose(event.target.value);
    board.bringIntoView();
    event.target.blur(); // so that keys act again
  };
  const chooseJoint = (event) => {
    if (event.target.value === "") session.choose(chosen, null);
    else actions.chooseJoint(session, board, Number(event.target.value));
    event.target.blur();
  };
  const chooseField = (event) => session.go("open", {field: event.target.value, sample_id: photo.sample_id});
  const person = session.person();
  const says = personSays(session, person);
  return h("div", {className: "cpr-bar cpr-line"},
    photo.fields.length > 1 && h("select", {value: photo.field, onChange: chooseField, "aria-label": "Field", title: "Field of poses"},
      photo.fields.map((name) => h("option", {key: name, value: name}, name))),
    h("select", {value: chosen ?? "", onChange: choose, "aria-label": "Person", disabled: !people.length, "data-cy": "refine-person"},
      people.map((other, index) => h("option", {key: other.id, value: other.id}, `Person ${index + 1} of ${people.length}`))),
    h("select", {value: joint ?? "", onChange: chooseJoint, "aria-label": "Joint", disabled: !person, "data-cy": "refine-joint"},
      h("option", {value: ""}, "Joint by name"),
      photo.joints.map((name, index) => h("option", {key: name, value: index},
        `${name.replaceAll("_", " ")}${person?.joints[index] ? "" : " (not there)"}`))),
    h("span", {"data-cy": "refine-person-says", title: says}, says));
}

function personSays(session, person) {
  if (!person) return "";
  const stored = session.stored.get(person.id);
  const of = [
    person.score > 0 ? `predicted OKS ${person.score.toFixed(2)}` : "no score",
    stored?.is_accepted && "accepted", stored?.saved > 0 && `corrected ${stored.saved}×`, session.isChanged(person) && "not saved",
  ];
  return of.filter(Boolean).join(" · ");
}

function Surface({session, board, problem}) {
  const element = React.useRef(null);
  const photoCanvas = React.useRef(null);
  const peopleCanvas = React.useRef(null);
  React.useEffect(() => {
    element.current.clickpose = {session, board}; // for tests, and for whoever looks into it
  }, []);
  React.useEffect(() => board.attach(element.current, {photo: photoCanvas.current, people: peopleCanvas.current}), []);
  const press = (event) => {
    if (event.target !== peopleCanvas.current) return;
    document.activeElement?.blur?.(); // a select that has the keys
    event.currentTarget.setPointerCapture(event.pointerId);
    board.press(event.nativeEvent);
  };
  const note = problem ?? board.problem;
  return h("div", {
    ref: element, className: "cpr-board", "data-cy": "refine-board", style: {cursor: board.cursor()},
    onPointerDown: press, onPointerMove: (event) => board.move(event.nativeEvent), onPointerUp: (event) => board.release(event.nativeEvent),
    onPointerCancel: () => board.cancel(), onPointerLeave: () => board.leave(), onAuxClick: (event) => event.preventDefault(),
  },
  h("canvas", {ref: photoCanvas}), h("canvas", {ref: peopleCanvas, "data-cy": "refine-canvas"}),
  note && note !== "…" && h("div", {className: "cpr-note", "data-cy": "refine-note"}, note),
  session.busy > 0 && h("div", {className: "cpr-busy"}, "…"),
  board.isHelpShown && h(Help, {onClose: () => board.set({isHelpShown: false})}));
}
