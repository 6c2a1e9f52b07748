/** Keys of a panel that Python draws. */
import {React, h, operators} from "./app.js";
import {KEY_STYLE, MUTED} from "./look.js";
import {belongsElsewhere, takeKeys} from "./pressed.js";

const REDRAW_MS = 1500; // after the answer the panel is drawn anew; where nothing changes it is not

/**
 * Calls the panel's events on key presses while the panel is on the screen, and shows the keys. Presses that come while an
 * event is on its way wait for what it changes: three quick presses accept three people.
 * schema.view.bindings: [{keys: ["a"], hint: "A", label: "accept", event: operator URI, params: {}}]
 */
export function PoseKeys({ schema }) {
  const bindings = schema.view.bindings || [];
  const trigger = operators.useTriggerPanelEvent();
  const root = React.useRef(null);
  const latest = React.useRef({});
  const waiting = React.useRef([]);
  const stage = React.useRef("rest"); // "rest", "asked", "answered" until the panel is drawn anew
  const timer = React.useRef(0);
  latest.current = { bindings, trigger };

  const enter = (next) => {
    stage.current = next;
    root.current?.setAttribute("aria-busy", next !== "rest");
  };
  const rest = () => {
    clearTimeout(timer.current);
    enter("rest");
    while (waiting.current.length && stage.current === "rest") run(waiting.current.shift());
  };
  const find = (key) => latest.current.bindings.find(({ keys }) => keys.includes(key));
  const run = (key) => {
    const binding = find(key);
    if (!binding) return;
    enter("asked");
    latest.current.trigger(binding.event, { ...binding.params }, false, () => {
      if (stage.current === "drawn") return rest(); // before the answer was told
      enter("answered");
      timer.current = setTimeout(rest, REDRAW_MS);
    });
  };

  React.useEffect(() => {
    const onKey = (event) => {
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      if (belongsElsewhere(event, root.current) || !find(key)) return;
      event.preventDefault();
      event.stopPropagation();
      if (stage.current === "rest") run(key);
      else if (!event.repeat) waiting.current.push(key); // a key that is held down asks once for each answer
    };
    document.addEventListener("keydown", onKey, true); // before the app's own shortcuts
    enter("rest");
    const leave = takeKeys(() => root.current);
    return () => {
      leave();
      clearTimeout(timer.current);
      document.removeEventListener("keydown", onKey, true);
    };
  }, []);

  const drawn = JSON.stringify(bindings);
  const before = React.useRef(drawn);
  React.useEffect(() => {
    if (before.current === drawn) return;
    before.current = drawn;
    if (stage.current === "answered") rest();
    else if (stage.current === "asked") enter("drawn");
  });

  const shown = bindings.filter(({ hint }) => hint);
  const children = shown.map(({ hint, label }) =>
    h("span", { key: hint, style: { whiteSpace: "nowrap" } }, h("kbd", { style: KEY_STYLE }, hint), label));
  const style = { display: "flex", flexWrap: "wrap", gap: "4px 14px", fontSize: 13, color: MUTED };
  return h("div", { ref: root, style, "data-cy": "pose-keys" }, children);
}
