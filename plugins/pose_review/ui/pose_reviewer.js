/** Who reviews in this browser. */
import {React, h, operators, recoil, state} from "./app.js";
import {MUTED} from "./look.js";

const REVIEWER = "clickpose-reviewer"; // in the browser's storage, and the event that tells panels of another name

/** The name that this browser keeps; "" for none. */
export const reviewer = () => localStorage.getItem(REVIEWER) ?? "";

const FIELD_STYLE = {
  width: 130, padding: "2px 6px", fontSize: 13, borderRadius: 4, border: `1px solid ${MUTED}`, color: "inherit",
  background: "transparent", fontFamily: "inherit",
};

/**
 * A name that is typed once, kept by the browser and told to each panel that is opened.
 * schema.view: {name: as the panel knows it, fallback, event: operator URI that gets {reviewer, before}}
 */
export function PoseReviewer({ schema }) {
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
  // a panel that draws another view asks in its name: of the app's own events none tells whose browser it comes from
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
