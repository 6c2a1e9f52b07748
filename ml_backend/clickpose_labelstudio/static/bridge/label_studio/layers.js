/**
 * Label Studio has a canvas for every fifteen regions. Without a graphics card a browser puts all of them together anew for
 * each picture, also those that nothing has changed on: with 20 people that takes longer than all else while a joint is
 * dragged. Those that a drag leaves alone are shown as one picture meanwhile.
 */

const FEW = 4; // canvases of regions that are not worth it
const AT_ONCE = 3; // canvases are taken into the picture; more would hold up the mouse
const MOST_TRIES = 3; // in a drag: something draws them anew all the time

let gathered = null; // {layers, picture}: what is shown as one picture, and that
let tries = 0;

const layerOf = ({shapeRef}) => shapeRef?.getLayer?.() ?? null;
const isEmpty = (layer) => layer.getChildren().length === 0;
const canvasOf = (layer) => layer.getNativeCanvasElement();

/** Show some more of the canvases that no region of `moving` is drawn on as one picture, which lies below all others. */
export function gather(annotation, moving) {
  const busy = new Set(moving.map(layerOf));
  if (gathered?.layers.some((layer) => busy.has(layer))) spread();
  if (tries >= MOST_TRIES) return;
  const others = new Set(annotation.regions.map(layerOf).filter((layer) => layer && !busy.has(layer)));
  if (others.size < FEW) return;
  const layers = layerOf(moving[0]).getStage().getLayers().filter((layer) => others.has(layer) || isEmpty(layer));
  layers.filter((layer) => !gathered?.layers.includes(layer)).slice(0, AT_ONCE).forEach(take);
}

function take(layer) {
  const canvas = canvasOf(layer);
  if (!gathered) {
    gathered = {layers: [], picture: canvas.cloneNode(false)};
    gathered.picture.className = "clickpose-gathered";
    canvas.before(gathered.picture);
  }
  gathered.picture.getContext("2d").drawImage(canvas, 0, 0);
  canvas.style.visibility = "hidden";
  layer.on("draw.clickpose-gathered", spread);
  gathered.layers.push(layer);
}

/** Show each canvas by itself again: one of them has been drawn anew. */
export function spread() {
  if (!gathered) return;
  const {layers, picture} = gathered;
  gathered = null;
  tries += 1;
  for (const layer of layers) {
    layer.off("draw.clickpose-gathered");
    canvasOf(layer).style.visibility = "";
  }
  picture.remove();
}

/** A drag has ended. */
export function end() {
  spread();
  tries = 0;
}
