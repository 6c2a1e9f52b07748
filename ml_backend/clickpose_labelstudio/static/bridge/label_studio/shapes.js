/** How Konva shows and catches the shapes of regions. Nothing of it is data: nothing is saved, and undo knows nothing. */

/** Set attributes of a region's shape where they differ; Label Studio sets some of them, too, as it shows it anew. */
export function dress(region, wanted) {
  const shape = region.shapeRef;
  if (!shape?.getLayer?.()) return;
  for (const [name, value] of Object.entries(wanted)) {
    if (shape.attrs[name] !== value) shape[name](value);
  }
}

const deaf = new Set(); // shapes that let the mouse through

/**
 * Of joints that lie upon each other, have the mouse catch the one that is meant.
 *
 * @param keypoint the region that is meant, or null.
 * @param near regions whose shapes would catch the mouse as well.
 * @param isPress whether the mouse is pressed just now, and Konva must know at once.
 */
export function catchOnly(keypoint, near, {isPress = false} = {}) {
  const wanted = new Set(near.filter((region) => keypoint && region !== keypoint).map(({shapeRef}) => shapeRef));
  const both = [...deaf, ...wanted].filter((shape) => shape?.getLayer?.());
  for (const shape of both) {
    if (shape.listening() === wanted.has(shape)) shape.listening(!wanted.has(shape));
  }
  deaf.clear();
  wanted.forEach((shape) => deaf.add(shape));
  // Konva would see it at the next frame, also what was changed since the last one
  if (isPress) new Set(both.map((shape) => shape.getLayer())).forEach((layer) => layer.drawHit());
}
