/** Names labels of keypoints that are no joints though they look as if they should be: their regions are left alone. */
import * as backend from "./backend.js";
import * as chip from "../surface/chip.js";
import {can} from "../label_studio/probes.js";
import * as lsPage from "../label_studio/page.js";
import * as lsRegions from "../label_studio/regions.js";
import * as notices from "../surface/notices.js";
import * as skeleton from "../pose/skeleton.js";

let known = ""; // what the chip says about labels

/** Look at the labels of the project on the page, and keep in the chip what the backend has to say about them. */
export async function look() {
  const annotation = lsPage.view()?.annotation;
  const labels = annotation && can("labels") ? lsRegions.keypointLabels(annotation) : [];
  const notes = labels.every(skeleton.joint) ? [] : await backend.notesOnLabels(lsPage.taskId()).catch(() => []);
  known = notes.join(" ");
  if (known) chip.keep("configuration", known);
  else chip.drop("configuration");
}

/** Keep what an answer has to say about labels, and say it if it is new. */
export function heed(notes) {
  const said = notes.join(" ");
  if (!said || said === known) return;
  known = said;
  chip.keep("configuration", said);
  notices.say(said);
}
