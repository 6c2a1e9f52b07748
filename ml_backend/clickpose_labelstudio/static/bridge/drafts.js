/**
 * Saves a draft again that Label Studio could not save.
 *
 * Where the request fails, because Label Studio is being restarted or the network is gone, its page goes on waiting for
 * it for ever: Submit does nothing any more until the page is loaded anew, and the edits are lost by that.
 */
import * as labelStudio from "./label_studio.js";

let unsaved = null; // annotation whose draft was being saved when a request of the page failed

export function listen() {
  window.addEventListener("unhandledrejection", ({reason}) => {
    const annotation = labelStudio.view()?.annotation;
    if (reason instanceof TypeError && annotation && labelStudio.isSavingDraft(annotation)) unsaved = annotation;
  });
}

/** Try again, if there is something to save; a Submit that waits goes on then. */
export async function saveAgain() {
  const annotation = unsaved;
  if (!annotation) return;
  unsaved = null;
  if (!labelStudio.isSelected(annotation) || !labelStudio.isSavingDraft(annotation)) return;
  try {
    await labelStudio.saveDraftAnew(annotation);
  } catch {
    unsaved = annotation; // still away
  }
}
