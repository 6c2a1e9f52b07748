/**
 * Saves a draft again that Label Studio could not save.
 *
 * Where the request fails, because Label Studio is being restarted or the network is gone, its page goes on waiting for
 * it for ever: Submit does nothing any more until the page is loaded anew, and the edits are lost by that.
 */
import * as lsPage from "../label_studio/page.js";
import * as lsProbes from "../label_studio/probes.js";
import * as lsSaving from "../label_studio/saving.js";

let unsaved = null; // annotation whose draft was being saved when a request of the page failed

export function listen() {
  window.addEventListener("unhandledrejection", ({reason}) => {
    const annotation = lsPage.view()?.annotation;
    if (!lsProbes.can("drafts") || !annotation) return;
    if (reason instanceof TypeError && lsSaving.isSavingDraft(annotation)) unsaved = annotation;
  });
}

/** Save a draft of what is there now, at once or as soon as Label Studio can be reached. */
export async function keep(annotation) {
  if (!lsProbes.can("drafts")) return;
  try {
    await lsSaving.saveDraftAnew(annotation);
  } catch {
    unsaved = annotation; // still away
  }
}

/** Try again, if there is something to save; a Submit that waits goes on then. */
export async function saveAgain() {
  const annotation = unsaved;
  unsaved = null;
  if (annotation && lsPage.isSelected(annotation) && lsSaving.isSavingDraft(annotation)) await keep(annotation);
}
