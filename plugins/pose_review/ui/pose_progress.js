import {h} from "./app.js";
import {useAhead} from "./ahead.js";

/**
 * How far a queue is, with those whom a key has settled this moment.
 * schema.view: {ids: of the people of the page, texts: the line when none, one, two … of them are settled; bold in **}
 */
export function PoseProgress({ schema }) {
  const { ids, texts } = schema.view;
  const count = useAhead().filter((id) => ids.includes(id)).length;
  const parts = texts[Math.min(count, texts.length - 1)].split("**");
  return h("div", { "data-cy": "pose-progress" }, parts.map((part, i) => (i % 2 ? h("strong", { key: i }, part) : part)));
}
