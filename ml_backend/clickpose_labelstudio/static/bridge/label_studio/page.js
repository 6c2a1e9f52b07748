/** Where on Label Studio's page one is: its version, project, task, and the annotation and stage that are shown. */
import * as probes from "./probes.js";

export function version() {
  const versions = window.APP_SETTINGS?.version;
  return versions?.["label-studio-os-package"]?.version ?? versions?.release ?? null;
}

/**
 * The selected annotation with its image and stage, or null where nothing is being labelled. Whoever gets one can rely
 * on what the page can do having been asked: see probes.js.
 */
export function view() {
  const found = viewOf(store()?.selected);
  if (found) probes.lookAt(found);
  return found;
}

/** All annotations that are shown: the selected one, or those beside each other in "Compare All". */
export function views() {
  const selected = view();
  const all = store();
  if (!probes.can("comparing") || !all?.viewingAll) return [selected].filter(Boolean);
  const views = [...(all.annotations ?? []), ...(all.predictions ?? [])].map(viewOf).filter(Boolean);
  if (!selected && views.length) probes.lookAt(views[0]);
  return views;
}

/** The annotations of the task on the page; null between two tasks, when the old ones are dead and not yet replaced. */
function store() {
  const root = window.Htx;
  return root?.$treenode?.isAlive === false ? null : (root?.annotationStore ?? null);
}

function viewOf(annotation) {
  const objects = Array.isArray(annotation?.objects) ? annotation.objects : [];
  const image = objects.find((object) => object.type === "image");
  const stage = image?.stageRef;
  if (!stage?.content?.isConnected || !(image.stageWidth > 1)) return null;
  return {annotation, image, stage};
}

/** Whether a photo is being shown that {@link view} does not find, or one of which nothing can be used. */
export function isStrange() {
  if (!document.querySelector(".konvajs-content") || view()) return false;
  const store = window.Htx?.annotationStore;
  if (!store || !("selected" in store)) return true;
  if (!store.selected || store.viewingAll) return false;
  const {objects} = store.selected;
  return !Array.isArray(objects) || objects.some(({type}) => type === "image") || !objects.every(({type}) => type);
}

export const isSelected = (annotation) => window.Htx?.annotationStore?.selected === annotation;
export const isEditable = (annotation) =>
  probes.can("editing") && annotation.type === "annotation" && !annotation.isReadOnly();

/** Whether Label Studio's own auto-annotation asks a backend when this region is changed. */
export const asksByItself = (region) => region.dynamic && Boolean(window.Htx.autoAnnotation);

/** Number of the task on the page. */
export const taskId = () => window.Htx.task.id;

/** Whether a task is on the page, or is being opened. */
export function isOpen(task) {
  const asked = new URLSearchParams(location.search).get("task");
  return Number(window.Htx?.task?.id ?? asked) === task;
}

/** Number of the annotator. */
export const userId = () => window.APP_SETTINGS?.user?.id ?? null;

export const projectId = () => location.pathname.match(/\/projects\/(\d+)/)?.[1] ?? null;

/** Path that Label Studio is served below, without a slash at the end. */
export const pathPrefix = () => {
  const {hostname} = window.APP_SETTINGS ?? {};
  return hostname ? new URL(hostname, location.href).pathname.replace(/\/$/, "") : "";
};
