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

const displaced = new Map(); // region -> its shape, which is shown elsewhere than the region is

/** The keypoints that are being dragged, with their places in percent of the photo; empty while none is. */
export function dragged(annotation) {
  const moving = annotation.regions.filter(({type, shapeRef}) => type === "keypointregion" && shapeRef?.isDragging());
  return moving.map((region) => {
    const {object: image, shapeRef: shape} = region;
    return {region, place: {x: image.canvasToInternalX(shape.x()), y: image.canvasToInternalY(shape.y())}};
  });
}

/** Show a region elsewhere than it is: its place (percent of the photo) does not change. */
export function showAt(region, value) {
  const {object: image, shapeRef: shape} = region;
  if (!shape?.getLayer() || shape.isDragging()) return;
  displaced.set(region, shape);
  shape.position({x: image.internalToCanvasX(value.x), y: image.internalToCanvasY(value.y)});
  if (value.width === undefined) return;
  shape.size({width: image.internalToCanvasX(value.width), height: image.internalToCanvasY(value.height)});
  shape.rotation(value.rotation ?? 0);
}

export const isDisplaced = (region) => displaced.has(region);

/** Show all regions where they are again. */
export function showAsTheyAre() {
  for (const [region, shape] of displaced) {
    if (!shape.getLayer() || region.shapeRef !== shape) continue;
    const {object: image} = region;
    shape.position({x: image.internalToCanvasX(region.x), y: image.internalToCanvasY(region.y)});
    if (region.type !== "rectangleregion") continue;
    shape.size({width: image.internalToCanvasX(region.width), height: image.internalToCanvasY(region.height)});
    shape.rotation(region.rotation ?? 0);
  }
  displaced.clear();
}
