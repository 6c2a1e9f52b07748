/** What the signs mean and what the keys do: a line below the photo, and all of it over the photo. */
import {React, h} from "../app.js";
import {bindings} from "./bindings.js";
import {ghostSigns} from "./ghosts.js";
import {signs} from "../../../../ml_backend/clickpose_labelstudio/static/bridge/drawing/signs.js";

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

/** The signs that need no explanation longer than a word. */
export function Legend() {
  const shown = all.filter(({name}) => name in SHORT);
  return h("div", {className: "cpr-legend", "data-cy": "refine-legend"},
    shown.map(({name, draw}) => h("span", {key: name}, h(Sign, {draw}), SHORT[name])));
}

/** All signs and keys. */
export function Help({onClose}) {
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
