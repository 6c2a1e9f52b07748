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
const state = window.__fos__ ?? {};
const recoil = window.recoil;
return {React, h, operators, plugins, state, recoil};
})();

// ahead.js
modules["ahead"] = (() => {
const {React} = modules["app"];

const listeners = new Set();
let settled = []; // ids of their labels

const change = (next) => {
  settled = next;
  listeners.forEach((listener) => listener());
};

const add = (id) => change([...settled, id]);
const remove = (id) => change(settled.filter((other) => other !== id));
const has = (id) => settled.includes(id);

function useAhead() {
  const [, draw] = React.useState(0);
  React.useEffect(() => {
    const listener = () => draw((count) => count + 1);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  return settled;
}
return {add, remove, has, useAhead};
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
const PANEL = "[data-cy^=panel-content]";
const listening = new Set(); // elements of panels that take keys
let latest = null; // the panel that the mouse was in last

const look = ({target}) => (latest = target.closest?.(PANEL) ?? latest);
for (const type of ["pointermove", "pointerdown"]) window.addEventListener(type, look, {capture: true, passive: true});

function takeKeys(element) {
  listening.add(element);
  return () => listening.delete(element);
}

function isOfAnother(panel) {
  const boxes = [...listening].map((element) => element()?.closest(PANEL)).filter((box) => box?.offsetParent);
  return latest !== panel.closest(PANEL) && boxes.includes(latest);
}

function isElsewhere(event, panel) {
  if (event.defaultPrevented || !panel || isOfAnother(panel)) return true;
  const target = event.target;
  if (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName)) return true;
  return isCovered(panel);
}

function isCovered(panel) {
  const covers = [...document.querySelectorAll("#modal [data-cy=modal], [role=dialog], [role=listbox]")];
  return covers.some((cover) => !cover.contains(panel));
}

const belongsElsewhere = (event, panel) =>
  event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && /^[a-z]$/i.test(event.key)) || isElsewhere(event, panel);
return {takeKeys, isElsewhere, isCovered, belongsElsewhere};
})();

// pose_keys.js
modules["pose_keys"] = (() => {
const ahead = modules["ahead"];
const {React, h, operators} = modules["app"];
const {KEY_STYLE, MUTED} = modules["look"];
const {belongsElsewhere, takeKeys} = modules["pressed"];

const REDRAW_MS = 1500; // after the answer the panel is drawn anew; where nothing changes it is not

function PoseKeys({ schema }) {
  const { bindings = [], cards = [], current = 0, accent } = schema.view;
  const trigger = operators.useTriggerPanelEvent();
  const root = React.useRef(null);
  const latest = React.useRef({});
  const waiting = React.useRef([]); // {key, card}: the card of a press that has settled it already
  const running = React.useRef(null);
  const stage = React.useRef("rest"); // "rest", "asked", "answered" until the panel is drawn anew
  const timer = React.useRef(0);
  const settled = ahead.useAhead();
  const free = nextCard(cards, current, settled);
  latest.current = { bindings, trigger, free };

  const enter = (next) => {
    stage.current = next;
    root.current?.setAttribute("aria-busy", next !== "rest");
  };
  const rest = () => {
    clearTimeout(timer.current);
    if (running.current?.card) ahead.remove(idOf(running.current.card));
    running.current = null;
    enter("rest");
    while (waiting.current.length && stage.current === "rest") run(waiting.current.shift());
  };
  const find = (key) => latest.current.bindings.find(({ keys }) => keys.includes(key));
  const take = (key) => { // the card that a quick key settles now; null for other keys
    const { free } = latest.current;
    if (!find(key)?.quick || !free || ahead.has(idOf(free))) return null;
    ahead.add(idOf(free));
    return free;
  };
  const run = (press) => {
    const binding = find(press.key);
    if (!binding) return press.card && ahead.remove(idOf(press.card));
    running.current = { key: press.key, card: press.card ?? take(press.key) };
    enter("asked");
    latest.current.trigger(binding.event, { ...(running.current.card ?? binding.params) }, false, () => {
      if (stage.current === "drawn") return rest(); // before the answer was told
      enter("answered");
      timer.current = setTimeout(rest, REDRAW_MS);
    });
  };
  const onPress = (key, isRepeated) => {
    if (stage.current === "rest") return run({ key });
    if (isRepeated) return; // a key that is held down asks once for each answer
    const isCertain = running.current?.card && waiting.current.every(({ card }) => card);
    waiting.current.push({ key, card: isCertain ? take(key) : null });
  };

  React.useEffect(() => {
    const onKey = (event) => {
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      if (belongsElsewhere(event, root.current) || !find(key)) return;
      event.preventDefault();
      event.stopPropagation();
      onPress(key, event.repeat);
    };
    document.addEventListener("keydown", onKey, true); // before the app's own shortcuts
    enter("rest");
    const leave = takeKeys(() => root.current);
    return () => {
      leave();
      clearTimeout(timer.current);
      document.removeEventListener("keydown", onKey, true);
      for (const press of [running.current, ...waiting.current]) if (press?.card) ahead.remove(idOf(press.card));
    };
  }, []);

  const drawn = JSON.stringify([bindings, cards, current]);
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
  const isOnly = cards.length === 1;
  const rules = cards.map((card) => ruleOf(card, card === free, settled, accent, isOnly)).join("");
  return h("div", { ref: root, style, "data-cy": "pose-keys" }, children, h("style", null, rules));
}

const idOf = (card) => card.label_ids[0];

function nextCard(cards, current, settled) {
  const waits = (card) => !settled.includes(idOf(card));
  return cards.slice(current).find(waits) ?? cards.slice(0, current).findLast(waits);
}

function ruleOf(card, isCurrent, settled, accent, isOnly) {
  const own = `[data-pose-card="${idOf(card)}"]`;
  const place = isOnly ? own : `div:has(${own}):not(:has([data-pose-card]:not(${own})))`; // of the app, around it alone
  const gone = settled.includes(idOf(card)) ? `${own}, ${place} { display: none !important; }\n` : "";
  return `${gone}${own} { border-top-color: ${isCurrent ? accent : "transparent"} !important; }\n`;
}
return {PoseKeys};
})();

// tooltips.js
modules["tooltips"] = (() => {
const hiddenOf = (dataset, field) => `fo-hiddenLabels-${dataset}-${field}`; // where the app keeps what a user hides
const CHANGED = "fo-hide-label-change"; // by which its tooltips notice

function quieten({ dataset, fields, attributes }) {
  const undecided = fields.map((field) => hiddenOf(dataset, field)).filter((key) => localStorage.getItem(key) === null);
  undecided.forEach((key) => localStorage.setItem(key, attributes.join(",")));
  if (undecided.length) window.dispatchEvent(new CustomEvent(CHANGED));
}
return {quieten};
})();

// pose_legend.js
modules["pose_legend"] = (() => {
const {React, h} = modules["app"];
const {MUTED} = modules["look"];
const {quieten} = modules["tooltips"];

function PoseLegend({ schema }) {
  const { colors, low, high, title, tooltips } = schema.view;
  React.useEffect(() => quieten(tooltips), [JSON.stringify(tooltips)]);
  const bar = { width: 140, height: 10, borderRadius: 5, background: `linear-gradient(to right, ${colors.join(", ")})` };
  const style = { display: "flex", flexWrap: "wrap", alignItems: "center", gap: "4px 8px", fontSize: 13, color: MUTED };
  return h("div", { style, "data-cy": "pose-legend" }, title, h("span", null, low), h("span", { style: bar }), h("span", null, high));
}
return {PoseLegend};
})();

// pose_progress.js
modules["pose_progress"] = (() => {
const {h} = modules["app"];
const {useAhead} = modules["ahead"];

function PoseProgress({ schema }) {
  const { ids, texts } = schema.view;
  const count = useAhead().filter((id) => ids.includes(id)).length;
  const parts = texts[Math.min(count, texts.length - 1)].split("**");
  return h("div", { "data-cy": "pose-progress" }, parts.map((part, i) => (i % 2 ? h("strong", { key: i }, part) : part)));
}
return {PoseProgress};
})();

// pose_reviewer.js
modules["pose_reviewer"] = (() => {
const {React, h, operators, recoil, state} = modules["app"];
const {MUTED} = modules["look"];

const REVIEWER = "clickpose-reviewer"; // in the browser's storage, and the event that tells panels of another name

const reviewer = () => localStorage.getItem(REVIEWER) ?? "";

const FIELD_STYLE = {
  width: 130, padding: "2px 6px", fontSize: 13, borderRadius: 4, border: `1px solid ${MUTED}`, color: "inherit",
  background: "transparent", fontFamily: "inherit",
};

function PoseReviewer({ schema }) {
  const { name, fallback, event } = schema.view;
  const trigger = operators.useTriggerPanelEvent();
  const kept = () => reviewer() || fallback;
  const [typed, setTyped] = React.useState(kept);
  const latest = React.useRef({});
  latest.current.tell = (chosen, before) => { if (chosen !== name) trigger(event, { reviewer: chosen, before }); };

  React.useEffect(() => {
    const onName = ({ detail }) => {
      setTyped(kept());
      latest.current.tell(kept(), detail);
    };
    window.addEventListener(REVIEWER, onName);
    return () => window.removeEventListener(REVIEWER, onName);
  }, []);
  React.useEffect(() => latest.current.tell(kept()), [name]);
  const view = recoil.useRecoilValue(state.view);
  const before = React.useRef(view);
  React.useEffect(() => {
    if (before.current !== view) trigger(event, { reviewer: kept() });
    before.current = view;
  }, [view]);

  const keep = () => {
    const before = kept(); // whoever had people in hand under it gives them back
    localStorage.setItem(REVIEWER, typed.trim() || fallback);
    window.dispatchEvent(new CustomEvent(REVIEWER, { detail: before }));
  };
  const field = h("input", {
    value: typed, "aria-label": "Your name", maxLength: 40, style: FIELD_STYLE, onBlur: keep,
    onChange: (change) => setTyped(change.target.value),
    onKeyDown: (press) => press.key === "Enter" && press.target.blur(),
  });
  const style = { display: "flex", alignItems: "center", gap: 8, fontSize: 13, color: MUTED };
  return h("label", { style, "data-cy": "pose-reviewer" }, "You review as", field);
}
return {reviewer, PoseReviewer};
})();

// probes.js
modules["probes"] = (() => {
const {operators, plugins, recoil, state} = modules["app"];

const features = {
  asking: {
    isThere: () => operators?.useTriggerPanelEvent,
    off: "Pose refine is off: this version of FiftyOne has no events of panels.",
  },
  following: {
    isThere: () => operators?.useGlobalExecutionContext && recoil?.useRecoilValueLoadable && state?.currentSampleId,
    off: "This version of FiftyOne does not tell which photo is open: go on with Next.",
  },
  showing: {
    isThere: () => state?.useRefreshSample,
    off: "This version of FiftyOne shows what was saved when it has reloaded the samples.",
  },
  requests: {
    isThere: () => operators?.Operator && operators.OperatorConfig && operators.registerOperator && plugins,
    off: "In this version of FiftyOne other panels cannot open a person here.",
  },
};

const can = (name) => Boolean(features[name].isThere());

const missing = () => Object.keys(features).filter((name) => !can(name)).map((name) => features[name].off);
return {can, missing};
})();

// ../../../ml_backend/clickpose_labelstudio/static/bridge/pose/limbs.js
modules["../../../ml_backend/clickpose_labelstudio/static/bridge/pose/limbs"] = (() => {
const LIMBS = [
  ["shoulder", "elbow", "wrist", "hand|palm|thumb|finger|index|pinky"],
  ["hip", "knee", "ankle", "foot|heel|toe"],
  ["eye", "ear"],
].map((limb) => limb.map((parts) => new RegExp(`(^|_)(${parts})(_|$)`)));

const sideOf = (name) => name.match(/^(left|right)_/)?.[1] ?? null;

function limbFrom(name, joints) {
  const stageOf = (other) => {
    const limb = LIMBS.findIndex((parts) => parts.some((part) => part.test(other)));
    return [limb, limb < 0 ? -1 : LIMBS[limb].findIndex((part) => part.test(other))];
  };
  const [limb, stage] = stageOf(name);
  const isFurther = (other) => {
    const [otherLimb, otherStage] = stageOf(other);
    return otherLimb === limb && limb >= 0 && otherStage > stage && sideOf(other) === sideOf(name);
  };
  return sideOf(name) ? [name, ...joints.filter(isFurther)] : [];
}
return {sideOf, limbFrom};
})();

// refine/people.js
modules["refine/people"] = (() => {
const HIDDEN = 0.25; // what the dataset keeps for a joint that somebody marked as hidden
const VISIBLE = 1;
const HIDDEN_BELOW = 0.5;
const session = Date.now().toString(36); // versions outlive a reload of the page, see drafts.js
let made = 0;

const nextVersion = () => `${session}.${++made}`;

const changed = (person, changes) => ({...person, ...changes, v: nextVersion()});

const isHidden = (joint) => joint[3] < HIDDEN_BELOW;
const isPlaced = (joint) => joint[4];

const withJoint = (person, index, joint) => person.joints.map((other, i) => (i === index ? joint : other));

function place(person, index, [x, y]) {
  const seen = Math.max(person.joints[index]?.[3] ?? VISIBLE, HIDDEN_BELOW);
  return changed(person, {joints: withJoint(person, index, [x, y, 1, seen, true]), box: grown(person.box, x, y)});
}

const grown = ([left, top, right, bottom], x, y) => [
  Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y),
];

const removeJoint = (person, index) => changed(person, {joints: withJoint(person, index, null)});

function toggleHidden(person, index) {
  const [x, y, score, seen] = person.joints[index];
  return changed(person, {joints: withJoint(person, index, [x, y, score, seen < HIDDEN_BELOW ? VISIBLE : HIDDEN, true])});
}

function exchange(person, indices, pairs) {
  const joints = [...person.joints];
  let isAny = false;
  for (const [left, right] of pairs) {
    if (!indices.includes(left) && !indices.includes(right)) continue;
    if (!joints[left] && !joints[right]) continue;
    [joints[left], joints[right]] = [placed(joints[right]), placed(joints[left])];
    isAny = true;
  }
  return isAny ? changed(person, {joints}) : null;
}

const placed = (joint) => joint && [...joint.slice(0, 4), true];

function follow(person, {joints, box, score}) {
  const merged = person.joints.map((joint, i) => (joint && !isPlaced(joint) ? joints[i] ?? joint : joint));
  const held = merged.filter((joint) => joint && isPlaced(joint)).reduce((b, [x, y]) => grown(b, x, y), box);
  return changed(person, {joints: merged, box: held, score});
}

const isSame = (one, other) => JSON.stringify([one.joints, one.box]) === JSON.stringify([other.joints, other.box]);

function distanceMoved(before, after) {
  const apart = after.joints.map((joint, i) =>
    joint && before.joints[i] ? Math.hypot(joint[0] - before.joints[i][0], joint[1] - before.joints[i][1]) : 0);
  return Math.max(0, ...apart);
}

const movedJoints = (before, after, atLeast = 0.5) => after.joints.filter((joint, i) => {
  const earlier = before.joints[i];
  return joint && earlier && Math.hypot(joint[0] - earlier[0], joint[1] - earlier[1]) >= atLeast;
}).length;
return {nextVersion, changed, isHidden, isPlaced, place, removeJoint, toggleHidden, exchange, follow, isSame, distanceMoved, movedJoints};
})();

// refine/steps.js
modules["refine/steps"] = (() => {
const undone = (people, {id, before, after, place}) => put(people, id, after, before, place);

const redone = (people, {id, before, after, place}) => put(people, id, before, after, place);

function put(people, id, from, to, place) {
  if (from && to) return people.map((person) => (person.id === id ? to : person));
  if (!to) return people.filter((person) => person.id !== id);
  const rest = people.filter((person) => person.id !== id);
  return [...rest.slice(0, place), to, ...rest.slice(place)];
}

function amended({past, future, people}, key, merge) {
  const renewed = new Map(); // version -> the person instead of it
  const renew = (other) => {
    const isAsked = other.key === key;
    if (!isAsked && !renewed.has(other.before?.v)) return other;
    const before = renewed.get(other.before?.v) ?? other.before;
    const after = other.after && merge(other.after);
    if (after) renewed.set(other.after.v, after);
    return {...other, before, after, ...(isAsked && {isAnswered: true})};
  };
  const all = [...past, ...[...future].reverse()].map(renew);
  return {
    past: all.slice(0, past.length),
    future: all.slice(past.length).reverse(),
    people: people.map((person) => renewed.get(person.v) ?? person),
  };
}

function renamed({past, future}, ids) {
  const rename = (step) => (step.id in ids ? {
    ...step, id: ids[step.id],
    before: step.before && {...step.before, id: ids[step.id]},
    after: step.after && {...step.after, id: ids[step.id]},
  } : step);
  return {past: past.map(rename), future: future.map(rename)};
}
return {undone, redone, amended, renamed};
})();

// refine/drafts.js
modules["refine/drafts"] = (() => {
const PREFIX = "clickpose-refine";

const keyOf = ({dataset, field, sample_id: sampleId}) => [PREFIX, dataset, field, sampleId].join("|");

function keep(photo, draft) {
  try {
    if (draft.past.length || draft.future.length) sessionStorage.setItem(keyOf(photo), JSON.stringify(draft));
    else sessionStorage.removeItem(keyOf(photo));
  } catch {
  }
}

function restore(photo, stored) {
  const draft = read(photo);
  const fresh = [...stored.values()];
  if (!draft) return {past: [], future: [], people: fresh, stored, lost: 0};
  const touched = new Set([...draft.past, ...draft.future].map(({id}) => id).filter(Boolean));
  const isOther = (id) => stored.get(id)?.mark !== draft.stored[id]?.mark;
  const others = new Set([...touched].filter(isOther));
  const isKept = (step) => (step.receipt ? !others.size : !others.has(step.id));
  const [past, future] = [draft.past.filter(isKept), draft.future.filter(isKept)];
  const own = new Map(draft.people.filter(({id}) => touched.has(id) && !others.has(id)).map((person) => [person.id, person]));
  const versions = new Map(stored);
  for (const id of touched) {
    if (stored.has(id) && !others.has(id)) versions.set(id, {...stored.get(id), v: draft.stored[id].v});
  }
  const isMine = (id) => touched.has(id) && !others.has(id);
  const people = [...versions.values()].flatMap((person) => (isMine(person.id) ? own.get(person.id) ?? [] : person));
  const added = [...own.values()].filter(({id}) => !stored.has(id));
  const lost = draft.past.length + draft.future.length - past.length - future.length;
  return {past, future, people: [...people, ...added], stored: versions, lost};
}

function read(photo) {
  try {
    return JSON.parse(sessionStorage.getItem(keyOf(photo)));
  } catch {
    return null;
  }
}
return {keep, restore};
})();

// ../../../ml_backend/clickpose_labelstudio/static/bridge/instant/worker.js
modules["../../../ml_backend/clickpose_labelstudio/static/bridge/instant/worker"] = (() => {
function work(ask) {
  const STORE = "parts"; // of the browser's database "clickpose"
  const KEPT = 3; // parts of a kind, of the latest use
  const people = new Map(); // number of a person -> inputs of one view and of all
  const loading = new Map(); // name of a part -> promise of it
  let session = {name: null, ort: null, run: null};
  let queue = Promise.resolve();

  const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

  async function unpack(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  function withStore(mode, use) {
    return new Promise((done) => {
      const opening = self.indexedDB?.open("clickpose", 1);
      if (!opening) return done(null);
      opening.onerror = () => done(null);
      opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, {keyPath: "name"});
      opening.onsuccess = () => {
        const transaction = opening.result.transaction(STORE, mode);
        const request = use(transaction.objectStore(STORE));
        transaction.oncomplete = () => (opening.result.close(), done(request?.result ?? null));
        transaction.onerror = transaction.onabort = () => (opening.result.close(), done(null));
      };
    });
  }

  function part(kind, name, source) {
    if (!loading.has(name)) {
      const promise = read(kind, name, source);
      promise.catch(() => loading.delete(name));
      loading.set(name, promise);
    }
    return loading.get(name);
  }

  async function read(kind, name, source) {
    const kept = await withStore("readonly", (store) => store.get(name));
    const found = kept ?? (await ask(source, kind));
    if (found.name !== name) throw new Error(`Expected the ${kind} ${name}, got ${found.name ?? found.reason}`);
    await withStore("readwrite", (store) => store.put({...found, kind, used: Date.now()}));
    if (!kept) await forgetOld(kind);
    return found;
  }

  async function forgetOld(kind) {
    const all = (await withStore("readonly", (store) => store.getAll())) ?? [];
    const old = all.filter((entry) => entry.kind === kind).sort((a, b) => b.used - a.used).slice(KEPT);
    if (old.length) await withStore("readwrite", (store) => old.forEach(({name}) => store.delete(name)));
  }

  async function open({runtime, decoder}, source) {
    if (session.name === decoder) return;
    const [engine, network] = await Promise.all([part("runtime", runtime, source), part("decoder", decoder, source)]);
    try {
      const ort = session.ort ?? (await start(engine));
      const graph = await unpack(bytesOf(network.graph));
      session = {name: decoder, ort, run: await ort.InferenceSession.create(graph, {executionProviders: ["wasm"]})};
    } catch (error) {
      throw Object.assign(error, {isFinal: true}); // trying again would change nothing
    }
    people.clear();
  }

  async function start({script, wasm}) {
    const address = URL.createObjectURL(new Blob([script], {type: "text/javascript"}));
    const ort = await import(address);
    URL.revokeObjectURL(address);
    ort.env.wasm.numThreads = 1; // more need headers that servers do not send
    ort.env.wasm.wasmBinary = (await unpack(bytesOf(wasm))).buffer;
    return ort;
  }

  function tensor({type, shape, array}, views) {
    const count = shape.length > 1 ? Math.min(views, shape[0]) : shape[0];
    return new session.ort.Tensor(type, array.subarray(0, (array.length / shape[0]) * count), [count, ...shape.slice(1)]);
  }

  const ARRAYS = {float16: Uint16Array, float32: Float32Array, float64: Float64Array};

  function arrayOf({type, shape, data}) {
    return {type, shape, array: new ARRAYS[type](bytesOf(data).buffer)};
  }

  async function prepare({person, source}) {
    const given = await ask(source);
    if (given.unavailable) return given;
    const isFirst = session.name !== given.decoder;
    await open(given, source);
    const inputs = Object.entries(given.inputs).map(([name, input]) => [name, arrayOf(input)]);
    const of = (views) => Object.fromEntries(inputs.map(([name, input]) => [name, tensor(input, views)]));
    people.set(person, {decoder: given.decoder, 1: of(1), 2: of(2)});
    if (isFirst) await warmUp(person, given.joint_count);
    return {joints: given.joints, count: given.joint_count, imageHw: given.image_hw};
  }

  function warmUp(person, count) {
    const nothing = {keypoints: new Float64Array(2 * count).fill(NaN), fixed: new Float64Array(count)};
    const first = () => decode({person, views: 2, ...nothing, box: Float64Array.of(0, 0, 9, 9)});
    return (queue = queue.then(first));
  }

  async function decode({person, views, keypoints, fixed, box}) {
    const known = people.get(person);
    if (known?.decoder !== session.name) throw new Error("This person is not known any more");
    const {Tensor} = session.ort;
    const started = performance.now();
    const result = await session.run.run({
      ...known[views],
      keypoints: new Tensor("float64", keypoints, [fixed.length, 2]),
      fixed: new Tensor("float64", fixed, [fixed.length]),
      box: new Tensor("float64", box, [4]),
    });
    const take = (name) => Array.from(result[name].data);
    return {
      keypoints: take("new_keypoints"),
      box: take("new_box"),
      scores: take("keypoint_scores"),
      visibilities: take("visibility_scores"),
      score: take("instance_score")[0],
      isCovered: take("covered")[0] > 0.5,
      ms: performance.now() - started,
    };
  }

  const forget = ({person}) => (people.delete(person), {});
  const kinds = {prepare, decode, forget};

  self.onmessage = ({data}) => {
    const answer = async () => {
      try {
        self.postMessage({number: data.number, ...(await kinds[data.kind](data))});
      } catch (error) {
        self.postMessage({number: data.number, error: String(error?.message ?? error), isFinal: error?.isFinal});
      }
    };
    if (data.kind === "decode") queue = queue.then(answer);
    else answer();
  };
}
return {work};
})();

// ../../../ml_backend/clickpose_labelstudio/static/bridge/instant/decoder.js
modules["../../../ml_backend/clickpose_labelstudio/static/bridge/instant/decoder"] = (() => {
const {work} = modules["../../../ml_backend/clickpose_labelstudio/static/bridge/instant/worker"];

const SLOW_MS = 1500; // a decoding that takes longer is not waited for
const FETCH_MS = 60000; // and a fetch: the runtime comes once, over a line that may be slow
const MOST_FAILURES = 3; // decodings in a row, after which the backend is asked for everything
const PAUSE_MS = 60000; // for so long: the machine may only have been busy

let worker = null;
let asker = null; // how it gets what it needs, see worker.js
let failures = 0;
let notBefore = 0; // when another decoding is tried; never, where this browser cannot
let reason = ""; // why none is tried now
let latest = 0; // number of the newest message
const waiting = new Map(); // number of a message -> how to answer it

const askBy = (ask) => (asker = ask);

const isPossible = () => performance.now() >= notBefore;

function start() {
  const address = URL.createObjectURL(new Blob([`(${work})(${asker})`], {type: "text/javascript"}));
  worker = new Worker(address, {type: "module"});
  URL.revokeObjectURL(address);
  worker.onmessage = ({data}) => settle(data.number, data);
  worker.onerror = (event) => giveUp(event.message ?? "the worker does not run here", Infinity);
}

function settle(number, answer) {
  waiting.get(number)?.(answer);
  waiting.delete(number);
}

function giveUp(why, pauseMs) {
  reason = why;
  notBefore = performance.now() + pauseMs;
  failures = 0;
  for (const number of [...waiting.keys()]) settle(number, {error: reason});
  worker?.terminate();
  worker = null;
}

async function ask(message, timeoutMs, transferred = []) {
  if (!isPossible()) return {error: reason};
  try {
    if (!worker) start();
  } catch (error) {
    giveUp(String(error), Infinity);
    return {error: String(error)};
  }
  const number = ++latest;
  const answer = await new Promise((done) => {
    waiting.set(number, done);
    setTimeout(() => settle(number, {error: "too slow"}), timeoutMs);
    worker.postMessage({...message, number}, transferred);
  });
  if (answer.isFinal) giveUp(answer.error, Infinity);
  return answer;
}

const prepare = (person, source, transferred) => ask({kind: "prepare", person, source}, FETCH_MS, transferred);

const forget = (person) => worker?.postMessage({kind: "forget", person, number: 0});

async function decode(person, {keypoints, fixed, box}, views) {
  const answer = await ask({kind: "decode", person, views, keypoints, fixed, box}, SLOW_MS);
  failures = answer.error ? failures + 1 : 0;
  if (failures === MOST_FAILURES) giveUp(answer.error, PAUSE_MS);
  return answer;
}
return {askBy, isPossible, prepare, forget, decode};
})();

// ../../../ml_backend/clickpose_labelstudio/static/bridge/instant/poses.js
modules["../../../ml_backend/clickpose_labelstudio/static/bridge/instant/poses"] = (() => {
const decoder = modules["../../../ml_backend/clickpose_labelstudio/static/bridge/instant/decoder"];

const SAME_PX = 1e-3; // places as near as this get the same answer
const FAST_MS = 60; // both views are decoded under the moving mouse too, where that takes no longer

let asked = null; // what was decoded last
let bothMs = null; // how long decoding both views takes, about

const atRelease = (person, query) => poseOf(person, query, 2);

function underMouse(person, query) {
  const before = asked?.pose;
  const pose = poseOf(person, query, bothMs > FAST_MS ? 1 : 2);
  return pose === before ? null : pose;
}

function poseOf(person, {keypoints, fixed, box}, views) {
  const isSame = (a, b) => a.every((value, i) => Object.is(value, b[i]) || Math.abs(value - b[i]) < SAME_PX);
  const isAsked =
    asked?.person === person &&
    asked.views === views &&
    [[keypoints, asked.keypoints], [fixed, asked.fixed], [box, asked.box]].every(([a, b]) => isSame(a, b));
  if (!isAsked) asked = {person, views, keypoints, fixed, box, pose: decoded(person, {keypoints, fixed, box}, views)};
  return asked.pose;
}

async function decoded(person, query, views) {
  const pose = await decoder.decode(person, query, views);
  if (views === 2 && !pose.error) bothMs = bothMs === null ? pose.ms : 0.7 * bothMs + 0.3 * pose.ms;
  return pose;
}
return {atRelease, underMouse};
})();

// refine/asking.js
modules["refine/asking"] = (() => {
function askPage({port}, part) {
  return new Promise((done, fail) => {
    const {port1, port2} = new MessageChannel();
    port1.onmessage = ({data}) => {
      port1.close();
      if (data.problem) fail(new Error(data.problem));
      else done(data);
    };
    port.postMessage(part ?? "person", [port2]);
  });
}

function portsOf(supply) {
  const {port1: near, port2: far} = new MessageChannel();
  near.onmessage = async ({data, ports}) => ports[0].postMessage(await supply(data));
  return {near, far};
}
return {askPage, portsOf};
})();

// refine/instant.js
modules["refine/instant"] = (() => {
const decoder = modules["../../../ml_backend/clickpose_labelstudio/static/bridge/instant/decoder"];
const poses = modules["../../../ml_backend/clickpose_labelstudio/static/bridge/instant/poses"];
const {askPage, portsOf} = modules["refine/asking"];
const {isPlaced} = modules["refine/people"];

const MOST_PEOPLE = 24; // 1.3 MB each
const NETWORK_MS = 60_000; // after which a network that cannot be had may be another one
let latest = 0; // number of the newest person, of all panels
let fetching = Promise.resolve(); // one at a time

decoder.askBy(askPage);

class Instant {
  told = {people: 0, answers: 0, previews: 0, delays: [], trouble: null}; // for tests and the curious
  #people = new Map(); // id -> number, null where only Python can tell; oldest first
  #wanted = null; // id of the latest person that was to be prepared
  #notBefore = 0;
  #ask;

  constructor(ask) {
    this.#ask = ask;
  }

  clear() {
    for (const number of this.#people.values()) decoder.forget(number);
    this.#people = new Map();
    this.#wanted = null;
    this.told.people = 0;
  }

  #isPossible = () => decoder.isPossible() && performance.now() >= this.#notBefore;

  prepare(id, about) {
    this.#wanted = id;
    const people = this.#people;
    fetching = fetching.then(() => (this.#wanted === id && people === this.#people && !people.has(id) ? this.#fetch(id, about) : null));
    return fetching;
  }

  async #fetch(id, about) {
    const people = this.#people;
    let said = null;
    const supply = async (part) => {
      if (part !== "person") return this.#ask("part", {field: about.field, part});
      said = await this.#ask("prepare", {...about, in_browser: true});
      return said.problem ? said : said.browser ?? {unavailable: "person", reason: "joints are placed one by one"};
    };
    const number = this.#isPossible() ? await this.#equip(supply) : null;
    if (people === this.#people) this.#keep(id, number);
    else if (number) decoder.forget(number);
    return said ?? this.#ask("prepare", about);
  }

  async #equip(supply) {
    const {near, far} = portsOf(supply);
    const number = ++latest;
    const answer = await decoder.prepare(number, {port: far}, [far]);
    near.close();
    const reason = answer.error ?? (answer.unavailable && answer.reason);
    if (!reason) return number;
    this.told.trouble = reason;
    if (answer.error || answer.unavailable === "network") this.#notBefore = performance.now() + NETWORK_MS;
    return null;
  }

  #keep(id, number) {
    this.#people.set(id, number);
    const old = [...this.#people.keys()].slice(0, Math.max(this.#people.size - MOST_PEOPLE, 0));
    old.forEach((other) => this.forget(other));
    this.told.people = [...this.#people.values()].filter(Boolean).length;
  }

  forget(id) {
    if (this.#people.get(id)) decoder.forget(this.#people.get(id));
    this.#people.delete(id);
    this.told.people = [...this.#people.values()].filter(Boolean).length;
  }

  async answer(person) {
    const number = this.#people.get(person.id);
    if (!number) return null;
    const pose = await poses.atRelease(number, queryOf(person));
    if (this.#isLost(person.id, pose)) return null;
    this.told.answers += 1;
    return recordOf(person, pose);
  }

  async foresee(person) {
    const number = this.#people.get(person.id);
    if (!number) return null;
    const pose = await poses.underMouse(number, queryOf(person));
    if (!pose || (pose.error ? this.#isLost(person.id, pose) : !pose.isCovered)) return null;
    return recordOf(person, pose);
  }

  #isLost(id, pose) {
    if (pose.error) this.told.trouble = pose.error;
    if (!pose.error && pose.isCovered) return false;
    this.forget(id);
    return true;
  }
}

function queryOf({joints, box}) {
  const keypoints = Float64Array.from(joints.flatMap((joint) => (joint ? joint.slice(0, 2) : [NaN, NaN])));
  const fixed = Float64Array.from(joints, (joint) => (joint && isPlaced(joint) ? 1 : 0));
  return {keypoints, fixed, box: Float64Array.from(box)};
}

function recordOf({joints}, {keypoints, scores, visibilities, box, score}) {
  const record = (joint, i) =>
    joint && [keypoints[2 * i], keypoints[2 * i + 1], scores[i], visibilities[i], isPlaced(joint)];
  return {joints: joints.map(record), box, score};
}
return {Instant};
})();

// refine/preview.js
modules["refine/preview"] = (() => {
const people = modules["refine/people"];

class Preview {
  id = null; // who is shown otherwise; null for nobody
  person = null; // and how
  #instant;
  #onShown; // something is to be painted
  #placed = null; // the person with the joint under the mouse, the others as they were
  #others = null; // the latest {id, record} that was foreseen
  #movedAt = 0;
  #isDragged = false;
  #isBusy = false;

  constructor(instant, onShown) {
    this.#instant = instant;
    this.#onShown = onShown;
  }

  drag(placed) {
    if (this.#others?.id !== placed.id) this.#others = null;
    this.#isDragged = true;
    this.#movedAt = performance.now();
    this.#placed = placed;
    this.#show();
    if (!this.#isBusy) this.#follow();
  }

  #show() {
    this.id = this.#placed.id;
    this.person = this.#others ? people.follow(this.#placed, this.#others.record) : this.#placed;
    this.#onShown();
  }

  async #follow() {
    this.#isBusy = true;
    let asked = null;
    while (this.#isDragged && asked !== this.#placed) {
      asked = this.#placed;
      const since = this.#movedAt;
      const record = await this.#instant.foresee(asked);
      if (!record || !this.#isDragged || this.#placed.id !== asked.id) continue;
      this.#others = {id: asked.id, record};
      this.#show();
      const {told} = this.#instant;
      told.previews += 1;
      told.delays = [...told.delays.slice(-199), performance.now() - since];
    }
    this.#isBusy = false;
  }

  release() {
    this.#isDragged = false;
    this.#others = null;
  }

  end() {
    if (this.#isDragged) return;
    Object.assign(this, {id: null, person: null});
    this.#onShown();
  }

  cancel() {
    this.release();
    this.end();
  }
}
return {Preview};
})();

// refine/session.js
modules["refine/session"] = (() => {
const drafts = modules["refine/drafts"];
const {Instant} = modules["refine/instant"];
const people = modules["refine/people"];
const {Preview} = modules["refine/preview"];
const steps = modules["refine/steps"];
const {reviewer} = modules["pose_reviewer"];

const PREPARE_MS = 120; // that somebody stays chosen before the network looks at it
const REST_MS = 60; // and that the mouse stays with somebody: it may only be passing

class Session {
  photo = null; // as of on_open: all but the people
  people = []; // as they are shown, from the first to the last
  stored = new Map(); // label id -> person as it is in the dataset, with the version that it has here
  past = [];
  future = [];
  chosen = null; // id of a person
  joint = null; // index of its joint
  problem = null; // why there is nothing to show
  says = ""; // the latest thing that happened
  notice = ""; // what is to be known of the network
  visited = []; // {field, sample_id, label_id} of those whom Next has left
  busy = 0; // questions on their way
  elsewhere = null; // {id, joints}: joints that somebody placed in the app itself; the rest may follow them
  onPreview = () => {}; // paints who is being dragged
  samplesChanged = () => {}; // has the app show samples as they are now
  #ask;
  #listeners = new Set();
  #turn = 0; // of questions for another photo: the latest one counts
  #queue = Promise.resolve(); // of joints whose person is to follow
  #unanswered = 0; // of these
  #timer = 0;

  constructor(ask) {
    this.#ask = ask;
    this.instant = new Instant((name, params) => this.#ask(name, params));
    this.preview = new Preview(this.instant, () => this.onPreview());
  }

  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell() {
    this.#listeners.forEach((listener) => listener());
  }

  say(text) {
    this.says = text;
    this.tell();
  }

  async ask(name, params = {}) {
    this.busy += 1;
    this.tell();
    const {field, sample_id, filepath, width, height} = this.photo ?? {};
    const about = this.photo ? {field, sample_id, filepath, image_hw: [height, width]} : {};
    const answer = await this.#ask(name, {...about, reviewer: reviewer(), ...params});
    this.busy -= 1;
    this.tell();
    return answer;
  }

  async go(name, params = {}) {
    const turn = ++this.#turn;
    const isAgain = name === "open" && params.label_id === this.chosen;
    const answer = await this.ask(name, params);
    if (turn !== this.#turn) return; // asked for something else meanwhile
    if (answer.problem && (name === "next" || this.photo)) this.say(answer.problem);
    else if (answer.problem) this.problem = answer.problem;
    else this.show(answer, isAgain);
    this.tell();
  }

  show({people: told, chosen, ...photo}, isAgain = false) {
    const isSame = this.photo?.sample_id === photo.sample_id && this.photo?.field === photo.field;
    const found = new Map(told.map((person) => [person.id, {...person, v: people.nextVersion()}]));
    const {lost, ...state} = drafts.restore(photo, found);
    const before = isSame ? this.stored : new Map();
    Object.assign(this, state, {photo: isSame ? Object.assign(this.photo, photo) : photo, problem: null});
    if (!isSame) this.instant.clear();
    this.preview.end();
    if (!(isSame && isAgain && this.person())) this.choose(this.person(chosen) ? chosen : this.people[0]?.id ?? null);
    this.past.filter((step) => step.joint !== undefined && !step.isAnswered).forEach(({key}) => this.#follow(key));
    this.elsewhere = photo.is_annotatable ? placedElsewhere(before, this.stored) : null;
    if (this.elsewhere) this.say(`${this.#named(this.elsewhere.joints)} placed in Annotate: press F and the rest follows.`);
    else if (lost) this.say(`Somebody else changed people of this photo: ${lost} of your unsaved steps are gone.`);
    else if (!isSame) this.say(this.isDirty() ? "What you had not saved here is still there." : "");
  }

  forget() {
    Object.assign(this, {photo: null, people: [], stored: new Map(), past: [], future: [], chosen: null, joint: null, says: "", notice: ""});
    this.visited = [];
    this.instant.clear();
    this.preview.cancel();
    this.tell();
  }

  #named(joints) {
    return joints.map((joint) => this.photo.joints[joint].replaceAll("_", " ")).join(", ");
  }

  person(id = this.chosen) {
    return this.people.find((person) => person.id === id) ?? null;
  }

  choose(id, joint = null) {
    Object.assign(this, {chosen: id, joint});
    this.approach(id, PREPARE_MS);
    this.tell();
  }

  approach(id, restMs = REST_MS) {
    clearTimeout(this.#timer);
    const person = this.person(id ?? undefined);
    if (person) this.#timer = setTimeout(() => this.#prepare(person.id), restMs);
  }

  async #prepare(id) {
    const {photo} = this;
    const person = this.person(id);
    if (!person) return;
    const said = await this.instant.prepare(id, {
      field: photo.field, filepath: photo.filepath, image_hw: [photo.height, photo.width], person: bare(person),
    });
    if (photo !== this.photo || !said) return;
    this.notice = said.notice ?? "";
    this.tell();
  }

  isChanged = ({id, v}) => this.stored.get(id)?.v !== v;

  isDirty() {
    return this.people.some(this.isChanged) || [...this.stored.keys()].some((id) => !this.person(id));
  }

  edit(before, after, says, more = {}) {
    const step = {key: people.nextVersion(), id: (before ?? after).id, before, after, says, ...more};
    if (step.joint === undefined) this.preview.end();
    this.people = steps.redone(this.people, step);
    this.#remember([...this.past, step], []);
    this.choose(after ? step.id : this.people[0]?.id ?? null, after && this.joint);
    this.say(says);
    if (step.joint !== undefined) this.#follow(step.key);
  }

  place(person, joint, position) {
    const name = this.photo.joints[joint].replaceAll("_", " ");
    this.edit(person, people.place(person, joint, position), `${name} placed.`, {joint});
    this.choose(person.id, joint);
  }

  followElsewhere() {
    const {id, joints} = this.elsewhere ?? {joints: []};
    this.elsewhere = null;
    for (const joint of joints) {
      const person = this.person(id);
      if (person?.joints[joint]) this.place(person, joint, person.joints[joint].slice(0, 2));
    }
    if (!joints.length) this.say("Nothing was placed in the app itself.");
  }

  async addPerson(box) {
    const {photo} = this;
    const answer = await this.ask("box", {box});
    if (photo !== this.photo) return;
    if (answer.problem) {
      this.say(answer.problem);
      return;
    }
    const person = people.changed({id: `new-${people.nextVersion()}`}, answer);
    const isEmpty = !person.joints.some(Boolean);
    this.edit(null, person, isEmpty ? "Person added, without joints: choose them by name." : "Person added.", {place: this.people.length});
    this.choose(person.id);
  }

  deletePerson(person) {
    this.edit(person, null, "Person deleted.", {place: this.people.indexOf(person)});
  }

  #remember(past, future) {
    Object.assign(this, {past, future});
    this.keepDraft();
  }

  keepDraft() {
    const stored = Object.fromEntries([...this.stored].map(([id, {v, mark}]) => [id, {v, mark}]));
    drafts.keep(this.photo, {past: this.past, future: this.future, people: this.people, stored});
  }

  #follow(key) {
    this.#unanswered += 1;
    this.#queue = this.#queue.then(() => this.#answer(key)).finally(() => {
      this.#unanswered -= 1;
      if (!this.#unanswered) this.preview.end();
    });
  }

  async #answer(key) {
    const {photo} = this;
    const step = this.past.find((other) => other.key === key);
    if (!step || step.isAnswered) return;
    const [x, y] = step.after.joints[step.joint];
    const here = await this.instant.answer(step.after);
    if (photo !== this.photo) return; // asked again when it is shown again
    const answer = here ?? (await this.ask("click", {person: bare(step.after), joint: photo.joints[step.joint], x, y}));
    if (photo !== this.photo) return;
    if (!here) this.approach(step.id, 0); // so that the next joint is answered here
    if (answer.problem) {
      this.say(answer.problem);
      return;
    }
    const before = step.after;
    Object.assign(this, steps.amended(this, key, (person) => people.follow(person, answer)));
    this.keepDraft();
    const now = this.past.find((other) => other.key === key)?.after;
    const others = now ? people.movedJoints(before, now) : 0;
    this.say(`${step.says} ${others === 1 ? "1 other joint" : `${others} other joints`} followed.`);
  }

  settled() {
    return this.#queue;
  }

  undo() {
    const step = this.past.at(-1);
    if (!step || step.receipt) return null;
    this.preview.end();
    this.people = steps.undone(this.people, step);
    this.#remember(this.past.slice(0, -1), [...this.future, step]);
    this.#chooseOf(step, step.before);
    this.say(`Undone: ${step.says}`);
    return step;
  }

  redo() {
    const step = this.future.at(-1);
    if (!step) return;
    this.preview.end();
    this.people = steps.redone(this.people, step);
    this.#remember([...this.past, step], this.future.slice(0, -1));
    this.#chooseOf(step, step.after);
    this.say(`Again: ${step.says}`);
    if (step.joint !== undefined && !step.isAnswered) this.#follow(step.key);
  }

  #chooseOf({id}, isThere) {
    if (!isThere) this.choose(this.people[0]?.id ?? null);
    else if (this.chosen !== id) this.choose(id);
  }
}

function placedElsewhere(before, now) {
  for (const [id, {joints, mark}] of now) {
    const earlier = before.get(id);
    if (!earlier || earlier.mark === mark) continue;
    const isMoved = (joint, i) => joint && (joint[0] !== earlier.joints[i]?.[0] || joint[1] !== earlier.joints[i]?.[1]);
    const moved = joints.flatMap((joint, i) => (isMoved(joint, i) ? [i] : []));
    if (moved.length && moved.length < joints.length / 2) return {id, joints: moved}; // else it is another pose
  }
  return null;
}

const bare = ({joints, box, score}) => ({joints, box, score});
return {Session, placedElsewhere, bare};
})();

// refine/saving.js
modules["refine/saving"] = (() => {
const people = modules["refine/people"];
const steps = modules["refine/steps"];
const {bare} = modules["refine/session"];

const counted = (count, one, many) => (count ? [`${count} ${count === 1 ? one : many}`] : []);

async function save(session, accepted = []) {
  await session.settled();
  const corrections = correctionsOf(session, accepted);
  const {poses, added, deleted} = corrections;
  const counts = [poses, added, deleted].map((found) => Object.keys(found).length);
  if (!counts.some(Boolean) && !accepted.length) {
    session.say("There is nothing to save.");
    return false;
  }
  const before = [...session.people];
  const versions = Object.fromEntries([...session.stored].map(([id, {v}]) => [id, v]));
  const answer = await session.ask("save", {...corrections, label_id: session.chosen});
  if (answer.problem) {
    session.say(answer.problem);
    return false;
  }
  const [corrected, made, gone] = counts;
  const done = [
    ...counted(corrected, "person corrected", "people corrected"), ...counted(made, "person added", "people added"),
    ...counted(gone, "person deleted", "people deleted"), ...counted(accepted.length, "accepted", "accepted"),
  ];
  const says = `Saved: ${done.join(", ")}; the originals are kept.`;
  adopt(session, answer, before, {key: people.nextVersion(), receipt: answer.receipt, versions, says});
  const {length} = answer.conflicts;
  if (length) session.say(`Somebody else changed ${length === 1 ? "a person" : `${length} people`} meanwhile: theirs is shown, redo brings yours back.`);
  else session.say(says);
  return !length;
}

function correctionsOf(session, accepted) {
  const {stored} = session;
  const isOther = (person) => stored.has(person.id) && session.isChanged(person) && !people.isSame(person, stored.get(person.id));
  const corrected = session.people.filter(isOther);
  const added = session.people.filter(({id}) => !stored.has(id));
  const deleted = [...stored.values()].filter(({id}) => !session.person(id));
  return {
    poses: Object.fromEntries(corrected.map((person) => [person.id, {...bare(person), mark: stored.get(person.id).mark}])),
    added: Object.fromEntries(added.map((person) => [person.id, bare(person)])),
    deleted: Object.fromEntries(deleted.map(({id, mark}) => [id, mark])),
    settled: accepted,
  };
}

function adopt(session, {people: told, chosen, ids, conflicts, changed, receipt, samples, ...photo}, sent, step) {
  const wasSent = new Map(sent.map((person) => [ids[person.id] ?? person.id, person.v]));
  Object.assign(session, steps.renamed(session, ids));
  session.people = session.people.map((person) => (person.id in ids ? {...person, id: ids[person.id]} : person));
  if (session.chosen in ids) session.chosen = ids[session.chosen];
  Object.assign(session.photo, photo);
  const stored = told.map((person) => {
    const isTheirs = conflicts.includes(person.id) || !wasSent.has(person.id);
    return [person.id, {...person, v: isTheirs ? people.nextVersion() : wasSent.get(person.id)}];
  });
  session.stored = new Map(stored);
  session.past = [...session.past, step];
  conflicts.forEach((id) => giveWay(session, id));
  session.keepDraft();
  session.samplesChanged(samples);
  session.tell();
}

function giveWay(session, id) {
  const theirs = session.stored.get(id);
  const mine = session.person(id);
  session.past = session.past.filter((step) => step.id !== id);
  if (theirs) session.people = mine ? session.people.map((person) => (person.id === id ? theirs : person)) : [...session.people, theirs];
  else session.people = session.people.filter((person) => person.id !== id);
  if (theirs && mine) session.future = [...session.future, {key: people.nextVersion(), id, before: theirs, after: mine, says: "your own corrections."}];
}

async function undo(session) {
  await session.settled();
  const step = session.past.at(-1);
  if (step && !step.receipt) session.undo();
  else if (step) await takeBack(session, step);
  else await undoSaved(session);
}

async function takeBack(session, step) {
  const answer = await session.ask("take_back", {receipt: step.receipt, label_id: session.chosen});
  if (session.past.at(-1) !== step) return;
  if (answer.problem) {
    session.say(answer.problem);
    return;
  }
  const {people: told, chosen, samples, ...photo} = answer;
  Object.assign(session.photo, photo);
  session.stored = new Map(told.map((person) => [person.id, {...person, v: step.versions[person.id] ?? people.nextVersion()}]));
  session.past = session.past.slice(0, -1);
  session.keepDraft();
  session.samplesChanged(samples);
  session.say("The save was taken back; what you corrected is still here, not saved.");
}

async function undoSaved(session) {
  const {chosen: id, photo} = session;
  const stored = session.stored.get(id);
  if (!stored?.saved) {
    session.say("There is nothing to undo.");
    return;
  }
  const answer = await session.ask("undo_saved", {label_id: id, mark: stored.mark});
  if (photo !== session.photo || answer.problem) {
    if (answer.problem) session.say(answer.problem);
    return;
  }
  const {people: told, chosen, samples, ...more} = answer;
  Object.assign(session.photo, more);
  const mine = session.person(id);
  session.stored = new Map(told.map((person) => [person.id, {...person, v: session.stored.get(person.id)?.v ?? people.nextVersion()}]));
  const now = {...session.stored.get(id), v: people.nextVersion()};
  session.stored.set(id, now);
  session.people = session.people.map((person) => (person.id === id ? now : person));
  session.future = [...session.future, {key: people.nextVersion(), id, before: now, after: mine, says: "the correction that had been saved."}];
  session.keepDraft();
  session.samplesChanged(samples);
  session.say("The last saved correction of this person was taken back; the original is kept.");
}
return {save, undo};
})();

// refine/actions.js
modules["refine/actions"] = (() => {
const {limbFrom} = modules["../../../ml_backend/clickpose_labelstudio/static/bridge/pose/limbs"];
const people = modules["refine/people"];
const saving = modules["refine/saving"];

const NOBODY = "Nobody is chosen.";
const NO_JOINT = "No joint is chosen: click one.";

const words = (name) => name.replaceAll("_", " ");

const meant = (session, board) => session.person(board.shown.hovered) ?? session.person();

function withPerson(session, board, act) {
  const person = meant(session, board);
  if (person) act(person);
  else session.say(NOBODY);
}

function withJoint(session, board, act) {
  const {hovered, hoveredJoint} = board.shown;
  const isUnder = hoveredJoint !== null && session.person(hovered);
  const person = isUnder ? session.person(hovered) : session.person();
  const joint = isUnder ? hoveredJoint : session.joint;
  if (person && joint !== null && person.joints[joint]) act(person, joint);
  else session.say(NO_JOINT);
}

async function undo(session, board) {
  const {past, stored, chosen, visited} = session;
  if (past.length || stored.get(chosen)?.saved || !visited.length) await saving.undo(session);
  else {
    await back(session, board);
    session.say("Nothing to undo here: back to the person before. Undo again for what was done there.");
  }
}
const redo = (session) => session.redo();
const follow = (session) => session.followElsewhere();
const save = (session) => saving.save(session);

async function acceptPerson(session, board) {
  const person = meant(session, board);
  if (person) await saving.save(session, [person.id]);
  else session.say(NOBODY);
}

async function acceptAndGo(session, board) {
  const person = session.person();
  if (!person) session.say(NOBODY);
  else if (await saving.save(session, [person.id])) await next(session, board);
}

async function next(session, board) {
  const isDirty = session.isDirty();
  const {photo} = session;
  session.visited.push({field: photo.field, sample_id: photo.sample_id, label_id: session.chosen});
  await session.go("next", {label_id: session.chosen});
  board.bringIntoView();
  if (isDirty && photo !== session.photo) session.say("What you have not saved in the photo before waits there.");
}

async function back(session, board) {
  const before = session.visited.pop();
  if (!before) return session.say("This is the first person.");
  await session.go("open", {...before, follows: true});
  return board.bringIntoView();
}

function addPerson(session, board) {
  board.set({mode: board.mode === "box" ? null : "box"});
  session.say(board.mode === "box" ? "Draw a box around the person. Escape leaves it." : "");
}

function leave(session, board) {
  const isBusy = board.mode || board.isHelpShown;
  if (board.isHelpShown) board.set({isHelpShown: false});
  else if (board.mode) board.cancel();
  else if (session.joint !== null) session.choose(session.chosen, null);
  if (isBusy) session.say("");
}

const hasToLeave = (session, board) => Boolean(board.mode || board.isHelpShown || session.joint !== null);

function exchangePerson(session, board) {
  withPerson(session, board, (person) => exchange(session, person, person.joints.map((_, i) => i), "the whole person"));
}

function exchangePair(session, board) {
  withJoint(session, board, (person, joint) => exchange(session, person, [joint]));
}

function exchangeLimb(session, board) {
  const {joints} = session.photo;
  withJoint(session, board, (person, joint) =>
    exchange(session, person, [joint, ...limbFrom(joints[joint], joints).map((name) => joints.indexOf(name))]));
}

function exchange(session, person, indices, what = null) {
  const {pairs, joints} = session.photo;
  const after = people.exchange(person, indices, pairs);
  const sides = pairs.filter(([left, right]) => indices.includes(left) || indices.includes(right));
  const parts = sides.map(([left]) => words(joints[left]).replace(/(^| )(left|right)( |$)/i, "").trim());
  if (after) session.edit(person, after, `Left and right exchanged: ${what ?? parts.join(", ")}.`);
  else session.say("There is nothing to exchange.");
}

function toggleVisibility(session, board) {
  withJoint(session, board, (person, joint) => {
    const after = people.toggleHidden(person, joint);
    const now = people.isHidden(after.joints[joint]) ? "occluded" : "visible";
    session.edit(person, after, `${words(session.photo.joints[joint])}: ${now}.`);
  });
}

function deleteJoint(session, board) {
  withJoint(session, board, (person, joint) => {
    session.edit(person, people.removeJoint(person, joint), `${words(session.photo.joints[joint])} deleted.`);
    session.choose(person.id, null);
  });
}

function deletePerson(session, board) {
  withPerson(session, board, (person) => session.deletePerson(person));
  board.show({hovered: null, hoveredJoint: null});
}

function hidePerson(session, board) {
  const {hidden, hovered} = board.shown;
  const person = session.person(hovered);
  if (person) {
    board.show({hidden: new Set([...hidden, person.id]), hovered: null, hoveredJoint: null});
    session.say("Person hidden. Shift+H beside everybody shows all again.");
  } else if (hidden.size) {
    board.show({hidden: new Set()});
    session.say("Everybody is shown again.");
  } else session.say("No person is under the mouse.");
}

function isolatePerson(session, board) {
  const {alone} = board.shown;
  if (!alone && board.shown.hovered !== null) session.choose(board.shown.hovered);
  board.show({alone: !alone});
  session.say(alone ? "Everybody is shown again." : "This person alone. Shift+I shows everybody again.");
}

const nextDoubtful = (session, board) => goToDoubtful(session, board, 1);
const previousDoubtful = (session, board) => goToDoubtful(session, board, -1);

function doubtful(session) {
  const joints = session.people.flatMap((person) =>
    person.joints.flatMap((joint, index) => (joint && !people.isPlaced(joint) ? [{id: person.id, index, score: joint[2]}] : [])));
  return joints.sort((a, b) => a.score - b.score);
}

function goToDoubtful(session, board, by) {
  const joints = doubtful(session);
  if (!joints.length) return session.say("No joint is left that is only predicted.");
  const here = joints.findIndex(({id, index}) => id === session.chosen && index === session.joint);
  const at = here < 0 ? 0 : (here + by + joints.length) % joints.length;
  const {id, index, score} = joints[at];
  session.choose(id, index);
  board.bringIntoView();
  return session.say(`${words(session.photo.joints[index])}: predicted OKS ${score.toFixed(2)}, ${at + 1} of ${joints.length} from the most doubtful.`);
}

function chooseJoint(session, board, joint) {
  const person = session.person();
  if (!person) return session.say(NOBODY);
  session.choose(person.id, joint);
  const isThere = Boolean(person.joints[joint]);
  board.set({mode: isThere ? null : "place"});
  const name = words(session.photo.joints[joint]);
  return session.say(isThere ? `${name} is chosen.` : `Click where the ${name} is. Escape leaves it.`);
}

function compare(session, board) {
  board.set({isCompared: !board.isCompared});
  if (board.isCompared && !board.earlier()) session.say("This person is as it was before.");
}

function toggleTruth(session, board) {
  board.set({isTruthShown: !board.isTruthShown});
  const {truth, truth_field: field} = session.photo;
  if (!board.isTruthShown) session.say("");
  else if (!field) session.say("This dataset has no labelled people.");
  else session.say(truth.length ? `Labelled people of “${field}”: dotted.` : `Nobody is labelled in this photo (“${field}”).`);
}

const toggleWhole = (session, board) => board.toggleWhole();
const toggleBones = (session, board) => board.show({bones: !board.shown.bones});
const toggleFade = (session, board) => board.show({fade: !board.shown.fade});
const toggleNames = (session, board) => board.set({areNamesShown: !board.areNamesShown});
const toggleHelp = (session, board) => board.set({isHelpShown: !board.isHelpShown});
return {undo, redo, follow, save, acceptPerson, acceptAndGo, next, back, addPerson, leave, hasToLeave, exchangePerson, exchangePair, exchangeLimb, toggleVisibility, deleteJoint, deletePerson, hidePerson, isolatePerson, nextDoubtful, previousDoubtful, chooseJoint, compare, toggleTruth, toggleWhole, toggleBones, toggleFade, toggleNames, toggleHelp};
})();

// refine/viewport.js
modules["refine/viewport"] = (() => {
const STEP = 1.0015; // a pixel of the wheel
const MOST = 40; // screen px a photo px
const MARGIN = 0.35; // around a person, of its size
const LEAST_SHARE = 0.3; // of the photo's longer side: of somebody tiny the surroundings tell who it is

function fit([left, top, right, bottom], {width, height}, most = MOST) {
  const scale = Math.min(width / Math.max(right - left, 1), height / Math.max(bottom - top, 1), most);
  return {scale, x: width / 2 - (scale * (left + right)) / 2, y: height / 2 - (scale * (top + bottom)) / 2};
}

const fitPhoto = ({width, height}, size) => fit([0, 0, width, height], size);

function fitPerson(photo, [left, top, right, bottom], size) {
  const extent = Math.max(right - left, bottom - top);
  const margin = Math.max(MARGIN * extent, (LEAST_SHARE * Math.max(photo.width, photo.height) - extent) / 2);
  const whole = fitPhoto(photo, size);
  const near = fit([left - margin, top - margin, right + margin, bottom + margin], size, 8);
  return near.scale > whole.scale ? bounded(near, photo, size) : whole;
}

function zoomed(view, by, at, photo, size) {
  const least = fitPhoto(photo, size).scale * 0.5;
  const scale = Math.min(Math.max(view.scale * STEP ** -by, least), MOST);
  const ratio = scale / view.scale;
  return bounded({scale, x: at.x - ratio * (at.x - view.x), y: at.y - ratio * (at.y - view.y)}, photo, size);
}

const moved = (view, dx, dy, photo, size) => bounded({...view, x: view.x + dx, y: view.y + dy}, photo, size);

function bounded(view, photo, size) {
  const within = (offset, extent, room) => {
    const most = Math.min(extent, room) * 0.75; // may be out of sight
    return Math.min(Math.max(offset, Math.min(room - extent, 0) - most), Math.max(room - extent, 0) + most);
  };
  const {scale} = view;
  return {scale, x: within(view.x, scale * photo.width, size.width), y: within(view.y, scale * photo.height, size.height)};
}

const toScreen = ({scale, x, y}, [px, py]) => ({x: x + scale * px, y: y + scale * py});

function toPhoto({scale, x, y}, at, {width, height}) {
  const inside = (value, most) => Math.min(Math.max(value, 0), most);
  return [inside((at.x - x) / scale, width), inside((at.y - y) / scale, height)];
}

function isInView(view, [left, top, right, bottom], size) {
  const [from, to] = [toScreen(view, [left, top]), toScreen(view, [right, bottom])];
  const isLarge = Math.max(to.x - from.x, to.y - from.y) > 0.3 * Math.min(size.width, size.height);
  return isLarge && from.x >= 0 && from.y >= 0 && to.x <= size.width && to.y <= size.height;
}
return {fit, fitPhoto, fitPerson, zoomed, moved, toScreen, toPhoto, isInView};
})();

// refine/picture.js
modules["refine/picture"] = (() => {
const {state} = modules["app"];

const LARGE = 6e6; // pixels from which a smaller copy is painted while all of it is seen
const COPY_SIDE = 2048;

const addressOf = (path) => state.getSampleSrc?.(path) ?? `/media?filepath=${encodeURIComponent(path)}`;

async function load({filepath, width, height}, ask) {
  const image = await decoded(addressOf(filepath));
  if (image) return withCopy(image, width, height);
  const {picture, problem} = await ask("picture");
  const other = picture && (await decoded(picture));
  return other ? withCopy(other, width, height) : {problem: problem ?? `The browser cannot show ${filepath}.`};
}

function decoded(address) {
  return new Promise((resolve) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => resolve(null);
    image.src = address;
  });
}

function withCopy(image, width, height) {
  if (image.naturalWidth * image.naturalHeight < LARGE) return {image, copy: null, copyScale: 0};
  const copyScale = COPY_SIDE / Math.max(width, height);
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [Math.round(width * copyScale), Math.round(height * copyScale)];
  const context = copy.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, copy.width, copy.height);
  return {image, copy, copyScale};
}
return {load};
})();

// ../../../ml_backend/clickpose_labelstudio/static/bridge/drawing/signs.js
modules["../../../ml_backend/clickpose_labelstudio/static/bridge/drawing/signs"] = (() => {
const SIDES = {left: "#2e9bff", right: "#ffa600", middle: "#f2f2f2"};
const DOUBT = "#ff2b4a";
const DARK = "rgba(14, 18, 28, 0.78)";
const LIGHT = "#ffffff";
const BEHIND = "rgba(112, 118, 130, 0.62)"; // over the points of those who are not meant
const CHOSEN = "#00e5ff"; // selected in Label Studio
const LEGEND_TINT = "#7ce8a4";
const TURN = 2 * Math.PI;

function drawPoint(context, point) {
  const {x, y, radius, side, doubt, placed, hidden, opacity = 1} = point;
  context.globalAlpha = opacity;
  if (point.isBehind && !point.selected && !point.marked) {
    disc(context, x, y, radius + 0.8, BEHIND);
    if (placed) disc(context, x, y, radius * 0.6, LIGHT);
    context.globalAlpha = 1;
    return;
  }
  if (doubt > 0 && !placed) drawDoubt(context, point);
  if (placed) drawPlaced(context, point);
  disc(context, x, y, radius + 1, DARK);
  disc(context, x, y, radius, SIDES[side] ?? SIDES.middle);
  if (hidden) disc(context, x, y, Math.max(radius * 0.62, 1.2), "#10141c");
  if (point.loose) drawLoose(context, point);
  if (point.selected) circle(context, x, y, radius + (placed ? 5.4 : 3), [[DARK, 3.2], [CHOSEN, 1.8]]);
  if (point.marked) circle(context, x, y, radius + 6.5, [[DARK, 4.5], [LIGHT, 2.5]]);
  context.globalAlpha = 1;
}

function drawLoose(context, {x, y, radius}) {
  const half = radius + 5;
  context.setLineDash([4, 3]);
  for (const [style, width] of [[DARK, 3.4], [LIGHT, 1.7]]) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.strokeRect(x - half, y - half, 2 * half, 2 * half);
  }
  context.setLineDash([]);
}

const scaleOf = (radius) => Math.min(Math.max(radius / 5, 0.4), 1);

function drawPlaced(context, {x, y, radius}) {
  const width = 1 + 0.7 * scaleOf(radius);
  circle(context, x, y, radius + 1 + 1.2 * scaleOf(radius), [[DARK, width + 1.6], [LIGHT, width]]);
}

function drawDoubt(context, {x, y, radius, doubt, opacity = 1}) {
  const scale = scaleOf(radius);
  const width = 0.4 + (1 + 1.7 * doubt) * scale;
  const away = radius + 1 + scale + width / 2;
  context.globalAlpha = opacity * Math.min(0.35 + doubt, 1);
  context.lineCap = "butt";
  for (const [style, thickness] of [[DARK, width + 0.4 + 1.2 * scale], [DOUBT, width]]) {
    for (let quarter = 0; quarter < 4; quarter++) {
      const middle = ((quarter + 0.5) * TURN) / 4;
      const half = thickness === width ? 0.5 : 0.5 + 0.8 / away;
      context.beginPath();
      context.arc(x, y, away, middle - half, middle + half);
      context.strokeStyle = style;
      context.lineWidth = thickness;
      context.stroke();
    }
  }
  context.globalAlpha = opacity;
}

function drawBone(context, {from, to, width, tint, doubt, hidden, opacity = 1}) {
  const ends = shorten(from, to);
  if (!ends) return;
  context.lineCap = "round";
  const dash = hidden ? [width * 1.6, width * 2.8] : [];
  stroke(context, ends, {style: DARK, width: width + 2, dash, alpha: opacity * 0.7});
  stroke(context, ends, {style: tint, width, dash, alpha: opacity});
  if (doubt > 0) stroke(context, ends, {style: DOUBT, width: coreOf(width), dash, alpha: opacity * Math.min(0.3 + doubt, 1)});
}

const coreOf = (width) => Math.max(width * 0.6, 1.4);

function shorten(from, to) {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const [start, end] = [from.radius + 1, length - to.radius - 1];
  if (end <= start) return null;
  const along = (distance) => [
    from.x + ((to.x - from.x) * distance) / length,
    from.y + ((to.y - from.y) * distance) / length,
  ];
  return [along(start), along(end)];
}

function drawBox(context, {corners, tint, marked, opacity = 1}) {
  for (const [style, width] of [[DARK, 4], [marked ? LIGHT : tint, 2]]) {
    context.globalAlpha = opacity;
    context.beginPath();
    corners.forEach(({x, y}, i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
    context.setLineDash(marked ? [8, 6] : []);
    context.strokeStyle = style;
    context.lineWidth = width;
    context.stroke();
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

function drawName(context, {text, x, y, align, opacity = 1}) {
  context.globalAlpha = opacity;
  context.font = "600 11px system-ui, sans-serif";
  context.textAlign = align;
  context.textBaseline = "middle";
  context.lineJoin = "round";
  context.strokeStyle = DARK;
  context.lineWidth = 3.5;
  context.strokeText(text, x, y);
  context.fillStyle = LIGHT;
  context.fillText(text, x, y);
  context.globalAlpha = 1;
}

function disc(context, x, y, radius, style) {
  context.beginPath();
  context.arc(x, y, radius, 0, TURN);
  context.fillStyle = style;
  context.fill();
}

function circle(context, x, y, radius, strokes) {
  for (const [style, width] of strokes) {
    context.beginPath();
    context.arc(x, y, radius, 0, TURN);
    context.strokeStyle = style;
    context.lineWidth = width;
    context.stroke();
  }
}

function stroke(context, [from, to], {style, width, dash, alpha}) {
  context.globalAlpha = alpha;
  context.setLineDash(dash);
  context.strokeStyle = style;
  context.lineWidth = width;
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  context.stroke();
  context.setLineDash([]);
  context.globalAlpha = 1;
}

const point = (x, y, more) => ({x, y, radius: 5, side: "middle", doubt: 0, ...more});

function legendPoint(more) {
  return (context, x, y) => drawPoint(context, point(x, y, more));
}

function legendBone(more) {
  return (context, x, y) => {
    const [from, to] = [point(x - 16, y, {radius: 0}), point(x + 16, y, {radius: 0})];
    drawBone(context, {from, to, width: 4, tint: LEGEND_TINT, doubt: 0, ...more});
  };
}

const signs = [
  {name: "left", means: "a joint of the person's left side", draw: legendPoint({side: "left"})},
  {name: "right", means: "a joint of the person's right side", draw: legendPoint({side: "right"})},
  {name: "placed", means: "placed or accepted by you: refinement leaves it there", draw: legendPoint({side: "left", placed: true})},
  {name: "doubtful", means: "predicted, and doubtful: look here first", draw: legendPoint({side: "left", doubt: 0.9})},
  {name: "hidden", means: "hidden (occluded): a dark middle", draw: legendPoint({side: "left", hidden: true})},
  {name: "loose", means: "nobody's: it belongs to no person, and an export leaves it out", draw: legendPoint({loose: true})},
  {name: "sure bone", means: "a bone in the tint of its person", draw: legendBone({})},
  {name: "doubtful bone", means: "a red core: one of its ends is doubtful", draw: legendBone({doubt: 0.9})},
  {name: "hidden bone", means: "dashed: one of its ends is hidden", draw: legendBone({hidden: true})},
];
return {SIDES, drawPoint, drawBone, drawBox, drawName, signs};
})();

// refine/ghosts.js
modules["refine/ghosts"] = (() => {
const DARK = "rgba(14, 18, 28, 0.85)";
const BEFORE = "#ffe8c2";
const TRUTH = "#ffffff";
const ARROW_FROM_PX = 5; // a joint that moved less has no arrow
const TURN = 2 * Math.PI;

function drawBefore(context, ghost, now) {
  const {width} = ghost;
  ghost.bones.forEach((ends) => line(context, ends, BEFORE, width * 0.8, [width * 2.2, width * 2]));
  for (const {index, x, y, radius} of ghost.points) {
    ring(context, x, y, radius + 1, BEFORE);
    const to = now?.get(index);
    if (to) arrow(context, {x, y}, to);
  }
}

function drawTruth(context, ghost) {
  const {width} = ghost;
  ghost.bones.forEach((ends) => line(context, ends, TRUTH, width * 0.8, [0.1, width * 1.9]));
  ghost.points.forEach(({x, y, radius}) => diamond(context, x, y, radius + 2.5, TRUTH));
}

const ghostSigns = [
  {name: "before", means: "as it was before", draw: legendOf((context, ghost) => drawBefore(context, ghost, null))},
  {name: "truth", means: "as it is labelled (ground truth)", draw: legendOf(drawTruth)},
];

function legendOf(draw) {
  return (context, x, y) => {
    const [from, to] = [{x: x - 13, y, radius: 3, index: 0}, {x: x + 13, y, radius: 3, index: 1}];
    draw(context, {width: 3, bones: [[from, to]], points: [from, to]});
  };
}

function line(context, [from, to], color, width, dash) {
  context.lineCap = "round";
  for (const [style, thickness] of [[DARK, width + 2], [color, width]]) {
    context.setLineDash(dash);
    context.strokeStyle = style;
    context.lineWidth = thickness;
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y);
    context.stroke();
  }
  context.setLineDash([]);
}

function ring(context, x, y, radius, color) {
  for (const [style, thickness] of [[DARK, 4], [color, 2]]) {
    context.strokeStyle = style;
    context.lineWidth = thickness;
    context.beginPath();
    context.arc(x, y, radius, 0, TURN);
    context.stroke();
  }
}

function diamond(context, x, y, half, color) {
  for (const [style, thickness] of [[DARK, 4], [color, 2]]) {
    context.strokeStyle = style;
    context.lineWidth = thickness;
    context.beginPath();
    context.moveTo(x, y - half);
    context.lineTo(x + half, y);
    context.lineTo(x, y + half);
    context.lineTo(x - half, y);
    context.closePath();
    context.stroke();
  }
}

function arrow(context, from, to) {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  if (length < ARROW_FROM_PX) return;
  const [ux, uy] = [(to.x - from.x) / length, (to.y - from.y) / length];
  const tip = {x: to.x - ux * 3, y: to.y - uy * 3};
  const head = Math.min(8, length / 2);
  for (const [style, thickness] of [[DARK, 4.5], [BEFORE, 2]]) {
    context.strokeStyle = style;
    context.lineWidth = thickness;
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(tip.x, tip.y);
    for (const side of [-1, 1]) {
      context.moveTo(tip.x, tip.y);
      context.lineTo(tip.x - head * (ux + side * 0.5 * uy), tip.y - head * (uy - side * 0.5 * ux));
    }
    context.stroke();
  }
}
return {BEFORE, TRUTH, drawBefore, drawTruth, ghostSigns};
})();

// ../../../ml_backend/clickpose_labelstudio/static/bridge/drawing/doubt.js
modules["../../../ml_backend/clickpose_labelstudio/static/bridge/drawing/doubt"] = (() => {
const SURE = 0.75; // predicted OKS from which a joint is not doubtful at all
const DOUBTFUL = 0.3; // and up to which it is as doubtful as can be shown
const UNKNOWN = 0.6; // taken for the predicted OKS where nothing has predicted it

const doubtOf = (score) => Math.min(Math.max((SURE - (score ?? UNKNOWN)) / (SURE - DOUBTFUL), 0), 1);
return {doubtOf};
})();

// ../../../ml_backend/clickpose_labelstudio/static/bridge/drawing/sizes.js
modules["../../../ml_backend/clickpose_labelstudio/static/bridge/drawing/sizes"] = (() => {
const SMALLEST_PX = 1.7;
const USUAL_PX = [2.2, 6]; // of small persons, and of large ones
const SHARE = 0.011; // of the person's longer side on the screen
const ROOM = 0.35; // of the way to the nearest joint of the person, so that small faces stay visible
const GRAB_PX = 8; // how far from its middle a lonely joint is caught by the mouse
const BONE_PX = [2, 4.5];
const BONE_SHARE = 0.009;

const clamp = (value, [least, most]) => Math.min(Math.max(value, least), most);

function sizePoints(points, size) {
  const usual = clamp(size * SHARE, USUAL_PX);
  for (const point of points) {
    const nearest = nearestOf(point, points);
    point.radius = Math.max(Math.min(usual, nearest * ROOM), SMALLEST_PX);
    point.grab = Math.max(Math.min(nearest / 2, GRAB_PX), point.radius + 1);
  }
}

function nearestOf(point, points) {
  let nearest = Infinity;
  for (const other of points) {
    if (other !== point) nearest = Math.min(nearest, Math.hypot(other.x - point.x, other.y - point.y));
  }
  return nearest;
}

const widthOf = (size) => clamp(size * BONE_SHARE, BONE_PX);
return {sizePoints, widthOf};
})();

// ../../../ml_backend/clickpose_labelstudio/static/bridge/drawing/tints.js
modules["../../../ml_backend/clickpose_labelstudio/static/bridge/drawing/tints"] = (() => {
const TINTS = ["#7ce8a4", "#c79bff", "#f4f1e4", "#0fb5a5", "#c3e02b", "#9fe3ff", "#8f7be8", "#d8b48a"];

const given = new WeakMap(); // the picture that persons are on -> person id -> index of the tint

function tintsOf(owner, persons) {
  if (!given.has(owner)) given.set(owner, new Map());
  const indices = given.get(owner);
  const places = new Map(persons.map(({id, center}) => [id, center]));
  for (const {id, center} of persons) {
    if (!indices.has(id)) indices.set(id, choose(center, indices, places));
  }
  return new Map(persons.map(({id}) => [id, TINTS[indices.get(id)]]));
}

function choose(center, indices, places) {
  const nearest = TINTS.map(() => Infinity);
  for (const [id, index] of indices) {
    const other = places.get(id);
    if (other) nearest[index] = Math.min(nearest[index], Math.hypot(other.x - center.x, other.y - center.y));
  }
  return nearest.indexOf(Math.max(...nearest));
}
return {TINTS, tintsOf};
})();

// refine/scene.js
modules["refine/scene"] = (() => {
const {doubtOf} = modules["../../../ml_backend/clickpose_labelstudio/static/bridge/drawing/doubt"];
const {sizePoints, widthOf} = modules["../../../ml_backend/clickpose_labelstudio/static/bridge/drawing/sizes"];
const {tintsOf} = modules["../../../ml_backend/clickpose_labelstudio/static/bridge/drawing/tints"];
const {isHidden, isPlaced} = modules["refine/people"];
const {toScreen} = modules["refine/viewport"];

const BEHIND = 0.4; // opacity of people who are not chosen
const FADED = 0.22; // and of what is only predicted, where that is asked for

function sceneOf(session, view, shown) {
  const {photo, chosen} = session;
  const middles = session.people.map(({id, box: [left, top, right, bottom]}) => ({
    id, center: {x: (left + right) / 2, y: (top + bottom) / 2},
  }));
  const tints = tintsOf(photo, middles);
  const isShown = ({id}) => !shown.hidden.has(id) && (!shown.alone || id === chosen);
  const {preview} = session;
  const scene = session.people.filter(isShown).map((stored) => {
    const person = preview?.id === stored.id ? preview.person : stored;
    const isChosen = person.id === chosen;
    const isMeant = isChosen || person.id === shown.hovered;
    return {...figureOf(person, photo, view, {...shown, isMeant, joint: isChosen ? session.joint : null}), isChosen, isMeant, tint: tints.get(person.id)};
  });
  return scene.sort((a, b) => a.isChosen - b.isChosen || a.isMeant - b.isMeant);
}

function figureOf(person, photo, view, {isMeant, joint, bones: hasBones, fade}) {
  const opacity = isMeant ? 1 : BEHIND;
  const faded = (placed) => (fade && !placed ? FADED : 1);
  const points = person.joints.flatMap((of, index) => (of ? [{
    ...toScreen(view, of), index, side: sideOf(index, photo.pairs), doubt: isPlaced(of) ? 0 : doubtOf(of[2]),
    placed: isPlaced(of), hidden: isHidden(of), selected: index === joint, isBehind: !isMeant, opacity: faded(isPlaced(of)),
  }] : []));
  const [from, to] = [toScreen(view, person.box), toScreen(view, person.box.slice(2))];
  const size = Math.max(to.x - from.x, to.y - from.y);
  sizePoints(points, size);
  const byIndex = new Map(points.map((point) => [point.index, point]));
  const width = widthOf(size) + (isMeant ? 0.5 : 0);
  const bones = (hasBones ? photo.bones : []).flatMap(([a, b]) => {
    const ends = [byIndex.get(a), byIndex.get(b)];
    if (!ends[0] || !ends[1]) return [];
    return [{
      from: ends[0], to: ends[1], width, doubt: Math.max(ends[0].doubt, ends[1].doubt), hidden: ends[0].hidden || ends[1].hidden,
      opacity: opacity * faded(ends[0].placed && ends[1].placed),
    }];
  });
  const corners = [from, {x: to.x, y: from.y}, to, {x: from.x, y: to.y}];
  return {id: person.id, points, bones, corners, size, opacity};
}

function sideOf(index, pairs) {
  for (const [left, right] of pairs) {
    if (index === left) return "left";
    if (index === right) return "right";
  }
  return "middle";
}

function ghostOf({joints, box}, photo, view) {
  const points = joints.flatMap((of, index) => (of ? [{...toScreen(view, of), index}] : []));
  const [from, to] = [toScreen(view, box), toScreen(view, box.slice(2))];
  const size = Math.max(to.x - from.x, to.y - from.y);
  sizePoints(points, size);
  const byIndex = new Map(points.map((point) => [point.index, point]));
  const bones = photo.bones.flatMap(([a, b]) => (byIndex.has(a) && byIndex.has(b) ? [[byIndex.get(a), byIndex.get(b)]] : []));
  return {points, byIndex, bones, width: widthOf(size)};
}
return {sceneOf, sideOf, ghostOf};
})();

// refine/paint.js
modules["refine/paint"] = (() => {
const {drawBone, drawBox, drawName, drawPoint} = modules["../../../ml_backend/clickpose_labelstudio/static/bridge/drawing/signs"];
const {drawBefore, drawTruth} = modules["refine/ghosts"];
const {ghostOf, sceneOf} = modules["refine/scene"];
const {toScreen} = modules["refine/viewport"];

const CHOSEN = "#00e5ff";

function prepare(canvas, {width, height, ratio}) {
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

function paintPhoto(context, picture, photo, {scale, x, y}) {
  if (!picture) return;
  context.imageSmoothingQuality = scale < 1 ? "high" : "medium";
  context.drawImage(picture.image, x, y, scale * photo.width, scale * photo.height);
}

function paintPeople(context, session, view, size, {shown, before, truth, names, box}) {
  const {photo} = session;
  const scene = sceneOf(session, view, shown);
  const chosen = scene.find(({isChosen}) => isChosen);
  for (const person of scene) {
    if (before && person === chosen) drawBefore(context, ghostOf(before, photo, view), new Map(person.points.map((p) => [p.index, p])));
    paintPerson(context, person, shown.hovered);
  }
  if (truth) photo.truth.forEach((pose) => drawTruth(context, ghostOf(pose, photo, view)));
  const named = scene.find(({id}) => id === shown.hovered) ?? chosen;
  if (names && chosen) nameAll(context, chosen, photo, size);
  else if (named) nameSome(context, named, photo, shown.hoveredJoint, size);
  if (box) paintBox(context, view, box);
  return scene;
}

function paintPerson(context, {id, points, bones, corners, tint, opacity, isChosen}, hovered) {
  if (isChosen || id === hovered) drawBox(context, {corners, tint: isChosen ? tint : "#ffffff", opacity: isChosen ? 0.8 : 0.6});
  bones.forEach((bone) => drawBone(context, {...bone, tint}));
  context.globalAlpha = opacity;
  points.forEach((point) => drawPoint(context, point));
  context.globalAlpha = 1;
}

const words = (name) => name.replaceAll("_", " ");

function nameAll(context, {points}, photo, {width}) {
  const middle = points.reduce((sum, {x}) => sum + x, 0) / Math.max(points.length, 1);
  const taken = [];
  for (const {index, x, y, radius} of points) {
    const text = words(photo.joints[index]);
    const needs = radius + 8 + 6.2 * text.length;
    const isRight = x < needs || (x >= middle && x + needs <= width);
    const [left, right] = isRight ? [x, x + needs] : [x - needs, x];
    if (taken.some((other) => Math.abs(other.y - y) < 12 && other.left <= right && other.right >= left)) continue;
    taken.push({left, right, y});
    drawName(context, {text, x: x + (isRight ? 1 : -1) * (radius + 8), y, align: isRight ? "left" : "right"});
  }
}

function nameSome(context, {points}, photo, hoveredJoint, {width}) {
  for (const {index, x, y, radius, selected} of points) {
    if (!selected && index !== hoveredJoint) continue;
    const text = words(photo.joints[index]);
    const isRight = x + radius + 10 + 6.2 * text.length < width;
    drawName(context, {text, x: x + (isRight ? 1 : -1) * (radius + 9), y, align: isRight ? "left" : "right"});
  }
}

function paintBox(context, view, [left, top, right, bottom]) {
  const [from, to] = [toScreen(view, [left, top]), toScreen(view, [right, bottom])];
  const corners = [from, {x: to.x, y: from.y}, to, {x: from.x, y: to.y}];
  drawBox(context, {corners, tint: CHOSEN, marked: false});
}
return {prepare, paintPhoto, paintPeople};
})();

// refine/picking.js
modules["refine/picking"] = (() => {
const REACH_PX = 9; // of a lonely joint; the bridge's `grab` where others are near
const BONE_PX = 6;

function pick(scene, at) {
  const front = [...scene].reverse();
  for (const person of front) {
    const point = nearest(person.points, at);
    if (point) return {id: person.id, joint: point.index};
  }
  const onBone = front.find(({bones}) => bones.some((bone) => distanceToBone(bone, at) <= Math.max(bone.width, BONE_PX)));
  if (onBone) return {id: onBone.id, joint: null};
  const inside = front.filter(({corners: [from, , to]}) => at.x >= from.x && at.x <= to.x && at.y >= from.y && at.y <= to.y);
  inside.sort((a, b) => a.size - b.size);
  return inside.length ? {id: inside[0].id, joint: null} : null;
}

function nearest(points, at) {
  let [found, least] = [null, Infinity];
  for (const point of points) {
    const away = Math.hypot(point.x - at.x, point.y - at.y);
    if (away < least && away <= Math.max(point.grab, Math.min(REACH_PX, point.radius + 4))) [found, least] = [point, away];
  }
  return found;
}

function distanceToBone({from, to}, at) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const along = Math.min(Math.max(((at.x - from.x) * dx + (at.y - from.y) * dy) / (dx * dx + dy * dy || 1), 0), 1);
  return Math.hypot(from.x + along * dx - at.x, from.y + along * dy - at.y);
}
return {pick};
})();

// refine/board.js
modules["refine/board"] = (() => {
const people = modules["refine/people"];
const viewport = modules["refine/viewport"];
const {load} = modules["refine/picture"];
const {paintPeople, paintPhoto, prepare} = modules["refine/paint"];
const {pick} = modules["refine/picking"];

const DRAG_PX = 3; // the mouse goes this far before a press is a drag
const LEAST_BOX_PX = 8; // a smaller box is a slip of the mouse

class Board {
  view = null; // see viewport.js
  picture = null;
  problem = null; // why there is no picture
  scene = [];
  mode = null; // "box": a person is drawn; "place": the next click puts the chosen joint there
  shown = {bones: true, fade: false, alone: false, hidden: new Set(), hovered: null, hoveredJoint: null};
  isCompared = false; // with what it was before
  isTruthShown = false;
  areNamesShown = false;
  #session;
  #canvases = null; // {photo, people}
  #size = {width: 0, height: 0, ratio: 1};
  #gesture = null;
  #isAsked = false;
  #loaded = null; // path of the picture
  #isSpaceHeld = false;
  #onChange;

  constructor(session, onChange) {
    this.#session = session;
    this.#onChange = onChange;
    session.subscribe(() => this.#follow());
    session.onPreview = () => this.invalidate();
  }

  attach(element, canvases) {
    this.#canvases = canvases;
    const observer = new ResizeObserver(() => this.#resize(element));
    observer.observe(element);
    const wheel = (event) => this.#wheel(event);
    element.addEventListener("wheel", wheel, {passive: false});
    this.#resize(element);
    return () => {
      observer.disconnect();
      element.removeEventListener("wheel", wheel);
      this.#canvases = null;
    };
  }

  #resize(element) {
    const {width, height} = element.getBoundingClientRect();
    const before = this.#size;
    this.#size = {width, height, ratio: window.devicePixelRatio || 1};
    const isFirst = before.width < 2 || !this.view;
    if (this.#session.photo && isFirst) this.fitChosen();
    else if (this.view) this.view = viewport.moved(this.view, (width - before.width) / 2, (height - before.height) / 2, this.#session.photo, this.#size);
    this.invalidate(true);
  }

  #follow() {
    const {photo} = this.#session;
    const key = photo && `${photo.sample_id} ${photo.filepath}`;
    if (key !== this.#loaded) this.#load(photo, key);
    this.invalidate();
  }

  async #load(photo, key) {
    Object.assign(this, {picture: null, problem: null, view: null, mode: null});
    this.#loaded = key;
    this.#gesture = null;
    Object.assign(this.shown, {hidden: new Set(), alone: false, hovered: null, hoveredJoint: null});
    if (!photo) return;
    this.fitChosen();
    const picture = await load(photo, (name) => this.#session.ask(name));
    if (key !== this.#loaded) return;
    if (picture.problem) this.problem = picture.problem;
    else this.picture = picture;
    this.invalidate(true);
    this.#onChange();
  }

  fitChosen() {
    const {photo} = this.#session;
    const person = this.#session.person();
    if (!photo || this.#size.width < 2) return;
    this.view = person ? viewport.fitPerson(photo, person.box, this.#size) : viewport.fitPhoto(photo, this.#size);
    this.invalidate(true);
  }

  toggleWhole() {
    const {photo} = this.#session;
    const whole = viewport.fitPhoto(photo, this.#size);
    const isWhole = Math.abs(this.view.scale / whole.scale - 1) < 0.01;
    if (isWhole) this.fitChosen();
    else this.view = whole;
    this.invalidate(true);
  }

  bringIntoView() {
    const person = this.#session.person();
    if (person && this.view && !viewport.isInView(this.view, person.box, this.#size)) this.fitChosen();
  }

  set(changes) {
    Object.assign(this, changes);
    this.invalidate();
    this.#onChange();
  }

  show(changes) {
    this.set({shown: {...this.shown, ...changes}});
  }

  invalidate(isPhotoToo = false) {
    this.isPhotoDue ||= isPhotoToo;
    if (this.#isAsked) return;
    this.#isAsked = true;
    requestAnimationFrame(() => {
      this.#isAsked = false;
      if (this.#canvases) this.#paint();
    });
  }

  #paint() {
    const {photo} = this.#session;
    const size = this.#size;
    if (this.isPhotoDue) {
      const context = prepare(this.#canvases.photo, size);
      if (photo && this.view && this.picture) {
        const {image, copy, copyScale} = this.picture;
        paintPhoto(context, {image: copy && this.view.scale * size.ratio <= copyScale ? copy : image}, photo, this.view);
      }
      this.isPhotoDue = false;
    }
    const context = prepare(this.#canvases.people, size);
    this.scene = [];
    if (!photo || !this.view) return;
    const before = this.isCompared ? this.earlier() : null;
    this.scene = paintPeople(context, this.#session, this.view, size, {
      shown: this.shown, before, truth: this.isTruthShown, names: this.areNamesShown,
      box: this.#gesture?.kind === "box" ? this.#gesture.box : null,
    });
  }

  earlier() {
    const person = this.#session.person();
    const stored = person && this.#session.stored.get(person.id);
    if (!stored) return null;
    return this.#session.isChanged(person) ? stored : stored.network;
  }


  #at({clientX, clientY}) {
    const {left, top} = this.#canvases.people.getBoundingClientRect();
    return {x: clientX - left, y: clientY - top};
  }

  clientPlace(position) {
    const {left, top} = this.#canvases.people.getBoundingClientRect();
    const {x, y} = viewport.toScreen(this.view, position);
    return {x: x + left, y: y + top};
  }

  #wheel(event) {
    if (!this.#session.photo || !this.view) return;
    event.preventDefault();
    const by = event.deltaY * (event.deltaMode === 1 ? 30 : 1) * (event.ctrlKey ? 4 : 1);
    this.view = viewport.zoomed(this.view, by, this.#at(event), this.#session.photo, this.#size);
    this.invalidate(true);
  }

  holdSpace(isHeld) {
    this.#isSpaceHeld = isHeld;
    this.#onChange();
  }

  cursor() {
    if (this.#gesture?.kind === "pan") return "grabbing";
    if (this.#isSpaceHeld) return "grab";
    if (this.mode) return "crosshair";
    return this.shown.hoveredJoint !== null ? "move" : this.shown.hovered !== null ? "pointer" : "default";
  }

  press(event) {
    const session = this.#session;
    if (!session.photo || !this.view || event.button > 1) return;
    const at = this.#at(event);
    const start = {at, from: at, isMoved: false};
    const isPan = event.button === 1 || this.#isSpaceHeld;
    if (event.button === 1) event.preventDefault();
    const hit = pick(this.scene, at);
    if (isPan) this.#gesture = {...start, kind: "pan"};
    else if (this.mode === "box") this.#gesture = {...start, kind: "box", box: this.#boxOf(at, at)};
    else if (this.mode === "place" || ((event.ctrlKey || event.metaKey) && session.joint !== null)) this.#gesture = {...start, kind: "place"};
    else if (hit && hit.joint !== null) this.#grab(start, hit);
    else this.#gesture = {...start, kind: "pan", hit};
    this.#onChange();
  }

  #grab(start, {id, joint}) {
    const session = this.#session;
    if (session.chosen !== id || session.joint !== joint) session.choose(id, joint);
    const person = session.person(id);
    const [x, y] = person.joints[joint];
    this.#gesture = {...start, kind: "joint", id, joint, before: person, offset: [x, y]};
  }

  #boxOf(from, to) {
    const [a, b] = [from, to].map((at) => viewport.toPhoto(this.view, at, this.#session.photo));
    return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])];
  }

  move(event) {
    const {photo} = this.#session;
    if (!photo || !this.view || !this.#canvases) return;
    const at = this.#at(event);
    const gesture = this.#gesture;
    if (!gesture) {
      this.#hover(at);
      return;
    }
    gesture.isMoved ||= Math.hypot(at.x - gesture.at.x, at.y - gesture.at.y) > DRAG_PX;
    if (!gesture.isMoved) return;
    if (gesture.kind === "pan") {
      this.view = viewport.moved(this.view, at.x - gesture.from.x, at.y - gesture.from.y, photo, this.#size);
      this.invalidate(true);
    } else if (gesture.kind === "box") gesture.box = this.#boxOf(gesture.at, at);
    else if (gesture.kind === "joint") this.#drag(gesture, at);
    gesture.from = at;
    this.invalidate();
  }

  #drag(gesture, at) {
    const session = this.#session;
    const now = session.person(gesture.id);
    if (!now?.joints[gesture.joint]) {
      this.#gesture = null; // undone, or another photo, meanwhile
      session.preview.cancel();
      return;
    }
    const {scale} = this.view;
    const [x, y] = gesture.offset;
    const [width, height] = [session.photo.width, session.photo.height];
    const to = [x + (at.x - gesture.at.x) / scale, y + (at.y - gesture.at.y) / scale];
    gesture.to = [Math.min(Math.max(to[0], 0), width), Math.min(Math.max(to[1], 0), height)];
    session.preview.drag(people.place(now, gesture.joint, gesture.to));
  }

  #hover(at) {
    const hit = this.mode ? null : pick(this.scene, at);
    const [hovered, hoveredJoint] = [hit?.id ?? null, hit?.joint ?? null];
    if (hovered === this.shown.hovered && hoveredJoint === this.shown.hoveredJoint) return;
    if (hovered !== this.shown.hovered) this.#session.approach(hovered);
    this.show({hovered, hoveredJoint});
  }

  leave() {
    if (!this.#gesture && this.shown.hovered !== null) this.show({hovered: null, hoveredJoint: null});
  }

  cancel() {
    this.#gesture = null;
    this.#session.preview.cancel();
    this.set({mode: null});
  }

  release(event) {
    const gesture = this.#gesture;
    this.#gesture = null;
    const session = this.#session;
    session.preview.release();
    if (!gesture) return;
    const at = this.#at(event);
    if (gesture.kind === "joint" && gesture.to) this.#drop(gesture);
    else if (gesture.kind === "box") this.#finishBox(gesture, at);
    else if (gesture.kind === "place") this.placeJoint(viewport.toPhoto(this.view, at, session.photo));
    else if (gesture.kind === "pan" && !gesture.isMoved && event.button === 0) session.choose(gesture.hit?.id ?? session.chosen, null);
    this.#onChange();
    this.invalidate();
  }

  #drop({id, joint, to}) {
    const before = this.#session.person(id);
    if (before?.joints[joint]) this.#session.place(before, joint, to);
    else this.#session.preview.end();
  }

  placeJoint(position) {
    const session = this.#session;
    const person = session.person();
    this.set({mode: null});
    if (person && session.joint !== null) session.place(person, session.joint, position);
  }

  async #finishBox(gesture, at) {
    const session = this.#session;
    const box = this.#boxOf(gesture.at, at);
    const {scale} = this.view;
    this.set({mode: null});
    if (Math.max(box[2] - box[0], box[3] - box[1]) * scale < LEAST_BOX_PX) session.say("No person was added: the box is too small.");
    else await session.addPerson(box);
  }
}
return {Board};
})();

// requests.js
modules["requests"] = (() => {
const {operators} = modules["app"];

const PLUGIN = "@clickpose/pose_review";
const VALID_MS = 60_000; // until the panel has opened
const listeners = new Set();
let waiting = null; // {person, at}

function register() {
  class RefinePerson extends operators.Operator {
    get config() {
      return new operators.OperatorConfig({name: "refine_person", label: "Refine a person", unlisted: true});
    }

    async execute({params}) {
      waiting = {person: params, at: Date.now()};
      listeners.forEach((listener) => listener());
    }
  }
  operators.registerOperator(RefinePerson, PLUGIN);
}

function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function take() {
  const request = waiting;
  waiting = null;
  return request && Date.now() - request.at < VALID_MS ? request.person : null;
}
return {PLUGIN, register, listen, take};
})();

// refine/following.js
modules["refine/following"] = (() => {
const {React, operators, recoil, state} = modules["app"];
const requests = modules["requests"];
const {isCovered} = modules["pressed"];
const {can} = modules["probes"];

const OWN_MS = 3000;
let pressedAt = 0;
for (const type of ["pointerdown", "keydown"]) window.addEventListener(type, () => (pressedAt = Date.now()), true);

const idsOf = (selected) => (selected instanceof Map ? [...selected.keys()] : [...(selected ?? [])]);

function useFollowing(session, board, root) {
  const {sampleId, datasetName, selectedSamples, selectedLabels} = can("following") ? useShown() : {};
  const selected = idsOf(selectedSamples);
  const isBeneath = () => !root.current || isCovered(root.current);
  const shownFor = React.useRef(null); // what the app calls the sample that is shown
  const field = () => session.photo?.field;

  useChange(() => {
    session.forget();
    open(session, requests.take() ?? (sampleId ? {sample_id: sampleId} : {}));
    shownFor.current = sampleId;
  }, [datasetName], true);

  useChange(() => {
    if (isBeneath() || sampleId === shownFor.current) return;
    shownFor.current = sampleId;
    if (sampleId && sampleId !== session.photo?.sample_id && isOwn()) open(session, {sample_id: sampleId, field: field()});
    else if (!sampleId) again(session); // closed: it may have been corrected there
  }, [sampleId]);

  useChange(() => {
    const [only] = selected;
    if (!isBeneath() && selected.length === 1 && only !== session.photo?.sample_id && isOwn()) open(session, {sample_id: only, field: field()});
  }, [selected.join()]);

  useChange(() => {
    if (!isBeneath() && selectedLabels?.length && isOwn()) choose(session, board);
  }, [JSON.stringify((selectedLabels ?? []).map(({labelId, label_id: id}) => labelId ?? id))]);

  React.useEffect(() => requests.listen(() => {
    if (isBeneath()) return;
    const person = requests.take();
    if (person) open(session, person).then(() => board.bringIntoView());
  }), []);

  React.useEffect(() => {
    const look = () => document.visibilityState === "visible" && !isBeneath() && again(session);
    const enter = () => session.photo?.is_annotatable && look(); // it may have been corrected in the Annotate tab
    const {current} = root;
    window.addEventListener("focus", look);
    current.addEventListener("pointerenter", enter);
    return () => {
      window.removeEventListener("focus", look);
      current.removeEventListener("pointerenter", enter);
    };
  }, []);
}

function useShown() {
  const opened = recoil.useRecoilValueLoadable(state.currentSampleId);
  const {datasetName, selectedSamples, selectedLabels} = operators.useGlobalExecutionContext();
  return {sampleId: opened.state === "hasValue" ? opened.contents : null, datasetName, selectedSamples, selectedLabels};
}

const isOwn = () => Date.now() - pressedAt < OWN_MS;

function useChange(effect, values, isFirstToo = false) {
  const isFirst = React.useRef(true);
  React.useEffect(() => {
    if (!isFirst.current || isFirstToo) effect();
    isFirst.current = false;
  }, values);
}

async function open(session, wanted) {
  if (wanted.label_id && wanted.sample_id === session.photo?.sample_id && wanted.field === session.photo?.field) {
    if (session.person(wanted.label_id)) session.choose(wanted.label_id);
  }
  await session.go("open", wanted);
  if (wanted.label_id && session.person(wanted.label_id)) session.choose(wanted.label_id, session.joint);
}

function again(session) {
  const {photo, chosen} = session;
  if (photo && !session.busy) session.go("open", {field: photo.field, sample_id: photo.sample_id, label_id: chosen});
}

async function choose(session, board) {
  const {field, sample_id: sampleId, label_id: id, joint} = await session.ask("choose");
  if (!id) return;
  const {photo} = session;
  if (photo?.sample_id !== sampleId || photo.field !== field) await open(session, {field, sample_id: sampleId, label_id: id});
  if (!session.person(id)) return;
  const index = joint ? session.photo.joints.indexOf(joint) : -1;
  session.choose(id, index < 0 ? null : index);
  board.bringIntoView();
}
return {useFollowing};
})();

// refine/bindings.js
modules["refine/bindings"] = (() => {
const PERSON = "Person under the mouse, else the chosen one";
const JOINT = "Joint under the mouse, else the chosen one";
const WORK = "Steps";
const WAY = "Finding what is left to do";
const VIEW = "What is shown";
const MOUSE = "Mouse";

const bindings = [
  {keys: ["drag"], does: "put a joint in place: the rest of the person follows", group: MOUSE, action: null},
  {keys: ["click"], does: "choose a person or a joint", group: MOUSE, action: null},
  {keys: ["Ctrl", "click"], does: "put the chosen joint there", group: MOUSE, action: null},
  {keys: ["wheel"], does: "zoom; drag beside the joints, with Space or the middle button: move", group: MOUSE, action: null},
  {keys: ["Z"], does: "undo a step: a correction, or a save", group: WORK, action: "undo"},
  {keys: ["Y"], does: "do it again", group: WORK, action: "redo"},
  {keys: ["Enter"], does: "save all of the photo", group: WORK, action: "save"},
  {keys: ["D"], does: "save, accept the person, and go on", group: WORK, action: "acceptAndGo"},
  {keys: ["F"], does: "have the rest follow joints that were placed in the Annotate tab, where the app allows that", group: WORK,
    action: "follow"},
  {keys: ["+"], does: "add a person: draw a box", group: WORK, action: "addPerson"},
  {keys: ["Escape"], does: "leave it", group: WORK, action: "leave"},
  {keys: ["Shift", "A"], does: "accept the person as it is", group: PERSON, action: "acceptPerson"},
  {keys: ["Shift", "X"], does: "exchange left and right", group: PERSON, action: "exchangePerson"},
  {keys: ["Shift", "H"], does: "hide; beside everybody: show all again", group: PERSON, action: "hidePerson"},
  {keys: ["Shift", "I"], does: "show this person alone, or everybody again", group: PERSON, action: "isolatePerson"},
  {keys: ["Shift", "Backspace"], does: "delete the person, box and joints", group: PERSON, action: "deletePerson"},
  {keys: ["Shift", "V"], does: "visible or occluded", group: JOINT, action: "toggleVisibility"},
  {keys: ["Shift", "P"], does: "exchange it with the joint of the other side", group: JOINT, action: "exchangePair"},
  {keys: ["Shift", "E"], does: "the same from here to the end of the arm or leg", group: JOINT, action: "exchangeLimb"},
  {keys: ["Backspace"], does: "delete the joint", group: JOINT, action: "deleteJoint"},
  {keys: ["Shift", "N"], does: "next doubtful joint", group: WAY, action: "nextDoubtful"},
  {keys: ["Alt", "Shift", "N"], does: "the one before", group: WAY, action: "previousDoubtful"},
  {keys: ["N"], does: "next person in the queue", group: WAY, action: "next"},
  {keys: ["P"], does: "back to the person before", group: WAY, action: "back"},
  {keys: ["B"], does: "before and after", group: VIEW, action: "compare"},
  {keys: ["T"], does: "what is labelled (ground truth)", group: VIEW, action: "toggleTruth"},
  {keys: ["W"], does: "whole photo, or the person", group: VIEW, action: "toggleWhole"},
  {keys: ["Shift", "B"], does: "bones on or off", group: VIEW, action: "toggleBones"},
  {keys: ["Shift", "J"], does: "joint names on or off", group: VIEW, action: "toggleNames"},
  {keys: ["Shift", "F"], does: "fade what is only predicted", group: VIEW, action: "toggleFade"},
  {keys: ["?"], does: "signs and keys", group: VIEW, action: "toggleHelp"},
];

const MODIFIERS = ["Ctrl", "Alt", "Shift", "Meta"];
const SYMBOLS = ["+", "?"]; // where they are printed differs among keyboards, and so does whether Shift is held for them
const USUAL = {z: "undo", y: "redo", Z: "redo"}; // with Ctrl, or the Mac's key

function actionOf(event) {
  const {key, code, ctrlKey, metaKey, altKey, shiftKey} = event;
  if ((ctrlKey || metaKey) && !altKey) return USUAL[key] ?? null;
  const letter = /^[a-z]$/i.test(key) ? key.toUpperCase() : code?.match(/^Key([A-Z])$/)?.[1] ?? key;
  const pressed = {Delete: "Backspace", "=": shiftKey ? "+" : "="}[letter] ?? letter;
  const held = {Ctrl: ctrlKey, Alt: altKey, Shift: shiftKey, Meta: metaKey};
  const isHeld = ({keys}) =>
    MODIFIERS.every((name) => held[name] === keys.includes(name) || (name === "Shift" && SYMBOLS.includes(keys[0])));
  return bindings.find((binding) => binding.action && binding.keys.at(-1) === pressed && isHeld(binding))?.action ?? null;
}
return {bindings, actionOf};
})();

// refine/help.js
modules["refine/help"] = (() => {
const {React, h} = modules["app"];
const {bindings} = modules["refine/bindings"];
const {ghostSigns} = modules["refine/ghosts"];
const {signs} = modules["../../../ml_backend/clickpose_labelstudio/static/bridge/drawing/signs"];

const [WIDTH, HEIGHT] = [44, 24];
const SHORT = {
  left: "left", right: "right", placed: "placed by you", doubtful: "doubtful", hidden: "occluded", before: "before", truth: "labelled",
};
const all = [...signs.filter(({name}) => name !== "loose"), ...ghostSigns];

function Sign({draw}) {
  const ref = React.useRef(null);
  React.useEffect(() => {
    const ratio = window.devicePixelRatio || 1;
    const canvas = ref.current;
    [canvas.width, canvas.height] = [WIDTH * ratio, HEIGHT * ratio];
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    draw(context, WIDTH / 2, HEIGHT / 2);
  }, [draw]);
  return h("canvas", {ref, className: "cpr-sign", style: {width: WIDTH, height: HEIGHT}});
}

function Legend() {
  const shown = all.filter(({name}) => name in SHORT);
  return h("div", {className: "cpr-legend", "data-cy": "refine-legend"},
    shown.map(({name, draw}) => h("span", {key: name}, h(Sign, {draw}), SHORT[name])));
}

function Help({onClose}) {
  const groups = [...new Set(bindings.map(({group}) => group))];
  return h("div", {className: "cpr-help", "data-cy": "refine-help"},
    h("button", {onClick: onClose, style: {float: "right"}}, "Close"),
    h("h4", {style: {marginTop: 0}}, "Signs"),
    h("table", null, h("tbody", null, all.map(({name, means, draw}) =>
      h("tr", {key: name}, h("td", null, h(Sign, {draw})), h("td", null, means))))),
    groups.map((group) => h(React.Fragment, {key: group}, h("h4", null, group), h("table", null, h("tbody", null,
      bindings.filter((binding) => binding.group === group).map(({keys, does}) =>
        h("tr", {key: does}, h("td", {style: {whiteSpace: "nowrap"}}, keys.map((key) => h("kbd", {key}, key))), h("td", null, does))))))));
}
return {Legend, Help};
})();

// refine/keys.js
modules["refine/keys"] = (() => {
const actions = modules["refine/actions"];
const {actionOf} = modules["refine/bindings"];
const {isElsewhere, takeKeys} = modules["pressed"];

const HELD = ["undo", "redo", "nextDoubtful", "previousDoubtful"]; // go on while the key is held

function listen(root, session, board) {
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
return {listen};
})();

// refine/style.js
modules["refine/style"] = (() => {
const CSS = `
.cpr { display: flex; flex-direction: column; gap: 6px; min-height: 340px; font-size: 13px;
  color: var(--fo-palette-text-primary, #e8e8ee); }
.cpr-bar { display: flex; flex-wrap: wrap; gap: 4px; align-items: center; }
.cpr-bar > span.cpr-gap { width: 6px; }
.cpr-line { flex-wrap: nowrap; height: 28px; }
.cpr-line select { flex: 0 1 auto; min-width: 60px; }
.cpr-line > span { flex: 1 1 0; min-width: 0; overflow: hidden; white-space: nowrap; text-overflow: ellipsis; margin-left: 4px; }
.cpr button, .cpr select { font: inherit; color: inherit; height: 28px; padding: 0 9px; border-radius: 4px; cursor: pointer;
  border: 1px solid var(--fo-palette-primary-plainBorder, rgba(128, 128, 140, .45)); background: transparent; }
.cpr select { max-width: 170px; padding: 0 4px; background: var(--fo-palette-background-level2, transparent); }
.cpr select option { color: #111; background: #fff; }
.cpr button:hover:not(:disabled) { background: var(--fo-palette-action-hover, rgba(128, 128, 140, .22)); }
.cpr button:disabled { opacity: .42; cursor: default; }
.cpr button:focus-visible, .cpr select:focus-visible { outline: 2px solid #ff6d05; outline-offset: 1px; }
.cpr button[aria-pressed=true] { background: rgba(255, 109, 5, .22); border-color: #ff6d05; }
.cpr button.cpr-main:not(:disabled) { background: #d65a00; border-color: #d65a00; color: #fff; }
.cpr-says { height: 20px; line-height: 20px; overflow: hidden; white-space: nowrap; text-overflow: ellipsis;
  color: var(--fo-palette-text-secondary, #9a9ca8); }
.cpr-board { position: relative; flex: 1 1 auto; min-height: 220px; overflow: hidden; border-radius: 4px;
  background: var(--fo-palette-background-level1, #17181d); touch-action: none; outline: none; }
.cpr-board > canvas { position: absolute; left: 0; top: 0; width: 100%; height: 100%; display: block; }
.cpr-legend { display: flex; flex-wrap: wrap; gap: 2px 12px; align-items: center; min-height: 22px;
  color: var(--fo-palette-text-secondary, #9a9ca8); font-size: 12px; }
.cpr-legend span { display: inline-flex; align-items: center; gap: 3px; white-space: nowrap; }
.cpr-sign { background: #4a4e59; border-radius: 4px; flex: none; }
.cpr-note { position: absolute; left: 8px; right: 8px; top: 8px; padding: 6px 10px; border-radius: 4px; pointer-events: none;
  background: rgba(20, 22, 28, .86); color: #fff; }
.cpr-busy { position: absolute; right: 8px; bottom: 8px; padding: 1px 8px; border-radius: 9px; pointer-events: none;
  background: rgba(20, 22, 28, .8); color: #fff; font-size: 12px; }
.cpr-help { position: absolute; inset: 0; overflow: auto; padding: 14px 16px; background: rgba(20, 22, 28, .95); color: #e8e8ee; }
.cpr-help h4 { margin: 10px 0 4px; font-size: 12px; font-weight: 600; color: #b9bbc8; }
.cpr-help table { border-collapse: collapse; }
.cpr-help td { padding: 2px 12px 2px 0; vertical-align: middle; }
.cpr kbd { border: 1px solid currentColor; border-radius: 4px; padding: 0 5px; font: inherit; font-size: 11px; margin-right: 3px; }
`;

function dress() {
  if (document.getElementById("cpr-style")) return;
  const style = document.createElement("style");
  style.id = "cpr-style";
  style.textContent = CSS;
  document.head.append(style);
}
return {dress};
})();

// refine/pose_refine.js
modules["refine/pose_refine"] = (() => {
const {React, h, operators, state} = modules["app"];
const actions = modules["refine/actions"];
const {Board} = modules["refine/board"];
const {useFollowing} = modules["refine/following"];
const {Help, Legend} = modules["refine/help"];
const keys = modules["refine/keys"];
const {can, missing} = modules["probes"];
const {Session} = modules["refine/session"];
const {dress} = modules["refine/style"];

const LEAST_PX = 340; // height of the panel
const NO_ANSWER = "The app did not answer; its log says more.";

function PoseRefine(props) {
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
return {PoseRefine};
})();

// shown_samples.js
modules["shown_samples"] = (() => {
const {operators, state} = modules["app"];
const {can} = modules["probes"];
const {PLUGIN} = modules["requests"];

function register() {
  class ShowSamples extends operators.Operator {
    get config() {
      return new operators.OperatorConfig({name: "show_samples", label: "Show samples as they are now", unlisted: true});
    }

    useHooks() {
      return {refresh: can("showing") ? state.useRefreshSample() : null};
    }

    async execute({hooks, params}) {
      if (hooks.refresh) params.samples.forEach((sample) => hooks.refresh(sample));
      else operators.executeOperator("reload_samples");
    }
  }
  operators.registerOperator(ShowSamples, PLUGIN);
}
return {register};
})();

// main.js
modules["main"] = (() => {
const {plugins} = modules["app"];
const {PoseKeys} = modules["pose_keys"];
const {PoseLegend} = modules["pose_legend"];
const {PoseProgress} = modules["pose_progress"];
const {PoseReviewer} = modules["pose_reviewer"];
const {can} = modules["probes"];
const {PoseRefine} = modules["refine/pose_refine"];
const requests = modules["requests"];
const shownSamples = modules["shown_samples"];

for (const [name, component] of Object.entries({PoseKeys, PoseLegend, PoseProgress, PoseRefine, PoseReviewer})) {
  plugins.registerComponent({
    name, label: name, component, type: plugins.PluginComponentType.Component, activator: () => true,
  });
}

if (can("requests")) [requests, shownSamples].forEach((operator) => operator.register());
return {};
})();
})();
