/** Says what is off on this Label Studio, and that nobody has tried it; each thing once in the console. */
import * as chip from "./chip.js";
import {config} from "../config.js";
import * as lsPage from "../label_studio/page.js";

const OFF = "The photo on this page is not recognized; Label Studio works as it does without Click-Pose.";
const warned = new Set();

const here = () => `Label Studio ${lsPage.version() ?? "of an unknown version"}`;
const isTried = () => config.triedVersions.includes(lsPage.version());

/** Tell what the page lacks: the sentences of the probes that failed. */
export function tell(missing) {
  const sentences = [...new Set(missing.map(({needs}) => needs))];
  if (sentences.length) {
    const names = missing.map(({name}) => name).join(", ");
    warn(`On ${here()} Click-Pose works in part. ${sentences.join(" ")} (${names})`);
    chip.keep("limited", [`${here()} lacks something that Click-Pose needs.`, ...sentences].join(" "));
  } else chip.drop("limited");
  if (isTried()) chip.drop("untried");
  else chip.keep("untried", `${here()} has not been tried with this bridge.`);
}

/** Tell that nothing works on this page. */
export function tellOff() {
  warn(`On ${here()} Click-Pose is off. ${OFF}`);
  chip.show("off", OFF);
}

function warn(text) {
  if (!warned.has(text)) console.warn(text);
  warned.add(text);
}
