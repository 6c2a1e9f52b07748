/** What part of the photo is seen: brings a place into view, and zooms where a person is too small to be judged. */

const MARGIN = 0.12; // of the view: nearer to its rim is out of view
const SMALL = 0.25; // of the view: a person smaller than this is zoomed to
const COMFORTABLE = 0.6;
const MAX_ZOOM = 10;

/** Bring regions, those of one person, into view; `point`, percent, is what matters most. */
export function bringIntoView({image}, regions, point) {
  const {width, height} = image.canvasSize;
  const size = sizeOf(image, regions) * image.zoomScale;
  const isSmall = size > 0 && size < SMALL * Math.min(width, height);
  if (isSmall) {
    const zoom = image.currentZoom * ((COMFORTABLE * Math.min(width, height)) / size);
    image.setZoom(Math.min(zoom, Math.max(MAX_ZOOM, image.currentZoom)));
    image.updateImageAfterZoom();
  }
  const [x, y] = [image.internalToCanvasX(point.x), image.internalToCanvasY(point.y)].map((at) => at * image.zoomScale);
  const isSeen = (at, offset, whole) => at + offset > MARGIN * whole && at + offset < (1 - MARGIN) * whole;
  const inView = isSeen(x, image.zoomingPositionX, width) && isSeen(y, image.zoomingPositionY, height);
  if (isSmall || !inView) image.setZoomPosition(width / 2 - x, height / 2 - y);
}

/** The longer side of what regions cover, on the canvas, px at zoom 1. */
function sizeOf(image, regions) {
  const xs = regions.flatMap(({x, width, type}) => [x, type === "rectangleregion" ? x + width : x]);
  const ys = regions.flatMap(({y, height, type}) => [y, type === "rectangleregion" ? y + height : y]);
  const span = (numbers) => Math.max(...numbers) - Math.min(...numbers);
  return regions.length ? Math.max(image.internalToCanvasX(span(xs)), image.internalToCanvasY(span(ys))) : 0;
}

const SETTLED_MS = 300; // after which the panels beside a photo that has just been opened have their widths
const fitted = new WeakSet();

/**
 * Show all of a photo that has just been opened: Label Studio fits it before the panels beside it have their widths, and
 * then leaves its edges, with what lies on them, out of view. Who has zoomed meanwhile is left alone.
 */
export function fitOnce({image}) {
  if (fitted.has(image)) return;
  fitted.add(image);
  const zoom = image.currentZoom;
  setTimeout(() => {
    const isSame = image.$treenode?.isAlive !== false && image.currentZoom === zoom;
    if (isSame && image.defaultzoom === "fit" && image.zoomScale > 1) image.sizeToFit();
  }, SETTLED_MS);
}
