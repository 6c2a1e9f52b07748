// Made of pose_review/ui by `python -m clickpose_fiftyone.ui_bundle`; change those files.
(() => {
"use strict";
const modules = {};

// app.js
modules["app"] = (() => {
const React = window.React;
const h = React.createElement;
const operators = window.__foo__;
const plugins = window.__fop__;
return {React, h, operators, plugins};
})();

// look.js
modules["look"] = (() => {
const MUTED = "var(--fo-palette-text-secondary, #9a9ca8)";
const KEY_STYLE = {
  border: "1px solid currentColor", borderRadius: 4, padding: "0 5px", marginRight: 5, fontSize: 11,
  fontFamily: "inherit", lineHeight: "16px", display: "inline-block", minWidth: 8, textAlign: "center",
};
return {MUTED, KEY_STYLE};
})();

// pressed.js
modules["pressed"] = (() => {
function belongsElsewhere(event, panel) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !panel) return true;
  const target = event.target;
  if (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName)) return true;
  const covers = [...document.querySelectorAll("#modal [data-cy=modal], [role=dialog], [role=listbox]")];
  return covers.some((cover) => !cover.contains(panel));
}
return {belongsElsewhere};
})();

// pose_keys.js
modules["pose_keys"] = (() => {
const {React, h, operators} = modules["app"];
const {KEY_STYLE, MUTED} = modules["look"];
const {belongsElsewhere} = modules["pressed"];

const REDRAW_MS = 1500; // after the answer the panel is drawn anew; where nothing changes it is not

function PoseKeys({ schema }) {
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
    return () => {
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
return {PoseKeys};
})();

// pose_legend.js
modules["pose_legend"] = (() => {
const {h} = modules["app"];
const {MUTED} = modules["look"];

function PoseLegend({ schema }) {
  const { colors, low, high, title } = schema.view;
  const bar = { width: 140, height: 10, borderRadius: 5, background: `linear-gradient(to right, ${colors.join(", ")})` };
  const style = { display: "flex", flexWrap: "wrap", alignItems: "center", gap: "4px 8px", fontSize: 13, color: MUTED };
  return h("div", { style, "data-cy": "pose-legend" }, title, h("span", null, low), h("span", { style: bar }), h("span", null, high));
}
return {PoseLegend};
})();

// pose_reviewer.js
modules["pose_reviewer"] = (() => {
const {React, h, operators} = modules["app"];
const {MUTED} = modules["look"];

const REVIEWER = "clickpose-reviewer"; // in the browser's storage, and the event that tells panels of another name

const FIELD_STYLE = {
  width: 130, padding: "2px 6px", fontSize: 13, borderRadius: 4, border: `1px solid ${MUTED}`, color: "inherit",
  background: "transparent", fontFamily: "inherit",
};

function PoseReviewer({ schema }) {
  const { name, fallback, event } = schema.view;
  const trigger = operators.useTriggerPanelEvent();
  const kept = () => localStorage.getItem(REVIEWER) || fallback;
  const [typed, setTyped] = React.useState(kept);
  const latest = React.useRef({});
  latest.current.tell = (chosen) => { if (chosen !== name) trigger(event, { reviewer: chosen }); };

  React.useEffect(() => {
    const onName = () => {
      setTyped(kept());
      latest.current.tell(kept());
    };
    window.addEventListener(REVIEWER, onName);
    return () => window.removeEventListener(REVIEWER, onName);
  }, []);
  React.useEffect(() => latest.current.tell(kept()), [name]);

  const keep = () => {
    localStorage.setItem(REVIEWER, typed.trim() || fallback);
    window.dispatchEvent(new Event(REVIEWER));
  };
  const field = h("input", {
    value: typed, "aria-label": "Your name", maxLength: 40, style: FIELD_STYLE, onBlur: keep,
    onChange: (change) => setTyped(change.target.value),
    onKeyDown: (press) => press.key === "Enter" && press.target.blur(),
  });
  const style = { display: "flex", alignItems: "center", gap: 8, fontSize: 13, color: MUTED };
  return h("label", { style, "data-cy": "pose-reviewer" }, "You review as", field);
}
return {PoseReviewer};
})();

// main.js
modules["main"] = (() => {
const {plugins} = modules["app"];
const {PoseKeys} = modules["pose_keys"];
const {PoseLegend} = modules["pose_legend"];
const {PoseReviewer} = modules["pose_reviewer"];

for (const [name, component] of Object.entries({PoseKeys, PoseLegend, PoseReviewer})) {
  plugins.registerComponent({
    name, label: name, component, type: plugins.PluginComponentType.Component, activator: () => true,
  });
}
return {};
})();
})();
