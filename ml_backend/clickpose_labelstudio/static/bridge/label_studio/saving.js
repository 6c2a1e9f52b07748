/** What Label Studio is saving just now. */

/** Whether an annotation is being submitted, updated or accepted just now. */
export const isSaving = () => Boolean(window.Htx?.isSubmitting);

export const isSavingDraft = (annotation) => Boolean(annotation.isDraftSaving);

/** Give up the draft that is being saved, and save what is there now; throws while Label Studio cannot be reached. */
export async function saveDraftAnew(annotation) {
  annotation.setDraftSaving(false);
  await annotation.saveDraft();
}
