/** Where on Label Studio's page one is: its version, project, task, and the annotation and stage that are shown. */

export function version() {
  const versions = window.APP_SETTINGS?.version;
  return versions?.["label-studio-os-package"]?.version ?? versions?.release ?? null;
}

/** The selected annotation with its image and stage, or null where nothing is being labelled. */
export function view() {
  const annotation = window.Htx?.annotationStore?.selected;
  const image = annotation?.objects?.find((object) => object.type === "image");
  const stage = image?.stageRef;
  if (!stage?.content?.isConnected || !(image.stageWidth > 1)) return null;
  return {annotation, image, stage};
}

export const isSelected = (annotation) => window.Htx?.annotationStore?.selected === annotation;
export const isEditable = (annotation) => annotation.type === "annotation" && !annotation.isReadOnly();

/** Whether Label Studio's own auto-annotation asks a backend when this region is changed. */
export const asksByItself = (region) => region.dynamic && Boolean(window.Htx.autoAnnotation);

/** Number of the task on the page. */
export const taskId = () => window.Htx.task.id;

export const projectId = () => location.pathname.match(/\/projects\/(\d+)/)?.[1] ?? null;

/** Path that Label Studio is served below, without a slash at the end. */
export const pathPrefix = () => {
  const {hostname} = window.APP_SETTINGS ?? {};
  return hostname ? new URL(hostname, location.href).pathname.replace(/\/$/, "") : "";
};
