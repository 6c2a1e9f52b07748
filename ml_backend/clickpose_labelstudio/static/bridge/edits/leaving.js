/**
 * Saves what has just been edited when the page is left: Label Studio saves a draft up to five seconds after an edit, and
 * loses it where the page is loaded anew, closed or put aside before.
 */
import * as drafts from "./drafts.js";
import * as lsPage from "../label_studio/page.js";
import {can, safely} from "../label_studio/probes.js";
import * as lsSaving from "../label_studio/saving.js";

function save() {
  const annotation = lsPage.view()?.annotation;
  if (!annotation || !can("drafts", "leaving") || !lsPage.isEditable(annotation)) return;
  if (!lsSaving.isDraftOnTheWay(annotation)) lsSaving.saveDraftAtOnce(annotation); // there would be two of a first one
}

function press() {
  const annotation = lsPage.view()?.annotation;
  if (annotation && drafts.isUnsaved(annotation)) save(); // the press may open another photo
}

/** Watch for the end of the page from now on. */
export function listen() {
  window.addEventListener("beforeunload", safely(save));
  window.addEventListener("blur", safely(save));
  window.addEventListener("pointerdown", safely(press), true);
  document.addEventListener("visibilitychange", safely(() => document.hidden && save()));
  document.documentElement.addEventListener("pointerleave", safely(save)); // towards the tab's cross, say
}
