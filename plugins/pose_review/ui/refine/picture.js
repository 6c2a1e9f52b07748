/** The photo itself: from the app's own route, else, where the browser cannot show it, a picture that Python makes. */
import {state} from "../app.js";

const LARGE = 6e6; // pixels from which a smaller copy is painted while all of it is seen
const COPY_SIDE = 2048;

/** Where the app has a photo. */
const addressOf = (path) => state.getSampleSrc?.(path) ?? `/media?filepath=${encodeURIComponent(path)}`;

/**
 * Load a photo.
 *
 * @param photo {filepath, width, height}.
 * @param ask as of Session: gives a picture where the browser cannot show the file.
 * @returns {image, copy: a smaller one or null, copyScale}; or {problem}.
 */
export async function load({filepath, width, height}, ask) {
  const image = await decoded(addressOf(filepath));
  if (image) return withCopy(image, width, height);
  const {picture, problem} = await ask("picture");
  const other = picture && (await decoded(picture));
  return other ? withCopy(other, width, height) : {problem: problem ?? `The browser cannot show ${filepath}.`};
}

function decoded(address) {
  return new Promise((resolve) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => resolve(null);
    image.src = address;
  });
}

function withCopy(image, width, height) {
  if (image.naturalWidth * image.naturalHeight < LARGE) return {image, copy: null, copyScale: 0};
  const copyScale = COPY_SIDE / Math.max(width, height);
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [Math.round(width * copyScale), Math.round(height * copyScale)];
  const context = copy.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, copy.width, copy.height);
  return {image, copy, copyScale};
}
