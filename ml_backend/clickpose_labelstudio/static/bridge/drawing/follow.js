/** Follows the photos on the page, which come and go without a reload, and has them drawn when something changes. */
import * as frames from "./frames.js";
import * as lsChanges from "../label_studio/changes.js";
import * as lsPage from "../label_studio/page.js";
import * as lsProbes from "../label_studio/probes.js";
import * as overlay from "./overlay.js";

const LOOK_MS = 1000; // between looks for what nothing has told of

const watched = new Map(); // stage whose paintings are told of -> what ends that
let seen = []; // the stages and the states of the regions at the latest look
let tell = {shown: () => {}, gone: () => {}};

/** Draw from now on; `shown()` is called after each drawing, `gone()` where there is nothing to draw on. */
export function follow(listener) {
  tell = listener;
  frames.connect(lsProbes.safely(frame));
  lsChanges.watchPage(frames.invalidate);
  for (const event of ["resize", "pointerup", "keyup"]) window.addEventListener(event, frames.invalidate, true);
  setInterval(lsProbes.safely(look), LOOK_MS);
  frames.invalidate();
}

/** Draw should something have changed that nothing has told of. */
function look() {
  if (document.hidden) return;
  const now = lsPage.views().flatMap(({stage, annotation}) => [stage, lsChanges.stateOf(annotation.areas)]);
  if (now.includes(null) || now.length !== seen.length || now.some((thing, i) => thing !== seen[i])) frames.invalidate();
  seen = now;
}

function frame() {
  const views = lsPage.views().filter(overlay.isPossible);
  watch(lsProbes.can("painting") ? views : []);
  overlay.keepOnly(views.map(({stage}) => stage));
  views.forEach(overlay.draw);
  if (lsPage.view()) tell.shown();
  else tell.gone();
}

function watch(views) {
  const stages = views.map(({stage}) => stage);
  for (const [stage, end] of watched) {
    if (stages.includes(stage)) continue;
    end();
    watched.delete(stage);
  }
  for (const stage of stages) {
    if (!watched.has(stage)) watched.set(stage, lsChanges.watch(stage, frames.invalidateNow));
  }
}
