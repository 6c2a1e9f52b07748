/**
 * Tells when something that is seen of an annotation may have changed, so that nobody has to look sixty times a second.
 *
 * Konva, which paints Label Studio's canvas, says whenever it has painted a layer: that covers what is moved, dragged,
 * hidden, selected, zoomed, turned and resized. What is changed without being painted there (who has placed a keypoint,
 * its score) shows in the outliner, in elements that come and go. To be told by the tree of regions itself would be
 * more direct, but Label Studio cannot take a task down then.
 */

const EVENTS = ".clickpose"; // what our listeners are called, so that Konva lets go of them alone

/** Call `painted` when Konva has painted; return what ends that. */
export function watch(stage, painted) {
  const listen = (layer) => layer.on(`draw${EVENTS}`, painted);
  stage.getLayers().forEach(listen);
  stage.on(`add${EVENTS}`, ({child}) => listen(child));
  return () => {
    stage.off(`add${EVENTS}`);
    stage.getLayers().forEach((layer) => layer.off(`draw${EVENTS}`));
  };
}

/** Call `changed` when elements have come onto the page or have gone, as when a task is opened. */
export function watchPage(changed) {
  new MutationObserver(changed).observe(document.body, {childList: true, subtree: true});
}

/**
 * The state of an annotation's regions, or of one region: an object that is replaced by another one when anything in
 * it changes. It serves to remember what has been worked out from it. Null where it cannot be told.
 */
export const stateOf = (thing) => treeOf(thing)?.snapshot ?? null;

function treeOf(thing) {
  return thing?.$treenode ?? null; // of mobx-state-tree
}
