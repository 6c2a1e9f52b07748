import {React, h} from "./app.js";
import {MUTED} from "./look.js";
import {quieten} from "./tooltips.js";

/**
 * How people are shown: a colour scale, and tooltips that can be read.
 * schema.view: {colors: [css colours, low to high], low, high, title, tooltips: {dataset, fields, attributes: hidden}}
 */
export function PoseLegend({ schema }) {
  const { colors, low, high, title, tooltips } = schema.view;
  React.useEffect(() => quieten(tooltips), [JSON.stringify(tooltips)]);
  const bar = { width: 140, height: 10, borderRadius: 5, background: `linear-gradient(to right, ${colors.join(", ")})` };
  const style = { display: "flex", flexWrap: "wrap", alignItems: "center", gap: "4px 8px", fontSize: 13, color: MUTED };
  return h("div", { style, "data-cy": "pose-legend" }, title, h("span", null, low), h("span", { style: bar }), h("span", null, high));
}
