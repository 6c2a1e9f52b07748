/** Keys of a panel that Python draws. */
import * as ahead from "./ahead.js";
import {React, h, operators} from "./app.js";
import {KEY_STYLE, MUTED} from "./look.js";
import {belongsElsewhere, takeKeys} from "./pressed.js";

const REDRAW_MS = 1500; // after the answer the panel is drawn anew; where nothing changes it is not

/**
 * Calls the panel's events on key presses while the panel is on the screen, and shows the keys. Presses that come while an
 * event is on its way wait for what it changes. A quick one settles a card: the card goes and the next one is the current
 * one at once, whenever the answer comes; each press is an event of its own, three presses accept three people.
 * schema.view: {
 *   bindings: [{keys: ["a"], hint: "A", label: "accept", event: operator URI, params: {}, quick: false}],
 *   cards: [{label_ids: [id], …}] what a quick event gets of each card of the page, current: number of one, accent: colour
 * }
 */
export function PoseKeys({ schema }) {
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
    // whom a press is of is certain only while all that is on its way settles cards
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

/** The card that the next quick key is of: the current one or the next that waits, else the one before; undefined for none. */
function nextCard(cards, current, settled) {
  const waits = (card) => !settled.includes(idOf(card));
  return cards.slice(current).find(waits) ?? cards.slice(0, current).findLast(waits);
}

/** How a card of the page looks: those that are settled are gone, with their place; the next one is the current one. */
function ruleOf(card, isCurrent, settled, accent, isOnly) {
  const own = `[data-pose-card="${idOf(card)}"]`;
  const place = isOnly ? own : `div:has(${own}):not(:has([data-pose-card]:not(${own})))`; // of the app, around it alone
  const gone = settled.includes(idOf(card)) ? `${own}, ${place} { display: none !important; }\n` : "";
  return `${gone}${own} { border-top-color: ${isCurrent ? accent : "transparent"} !important; }\n`;
}
