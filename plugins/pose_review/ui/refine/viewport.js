/** What part of the photo is shown: scale (screen px a photo px) and where the photo's corner is on the screen, px. */
const STEP = 1.0015; // a pixel of the wheel
const MOST = 40; // screen px a photo px
const MARGIN = 0.35; // around a person, of its size
const LEAST_SHARE = 0.3; // of the photo's longer side: of somebody tiny the surroundings tell who it is

/** A rectangle of the photo in the middle of a canvas. */
export function fit([left, top, right, bottom], {width, height}, most = MOST) {
  const scale = Math.min(width / Math.max(right - left, 1), height / Math.max(bottom - top, 1), most);
  return {scale, x: width / 2 - (scale * (left + right)) / 2, y: height / 2 - (scale * (top + bottom)) / 2};
}

export const fitPhoto = ({width, height}, size) => fit([0, 0, width, height], size);

/** A person with its surroundings, not beyond what all of the photo and a crop of it can show. */
export function fitPerson(photo, [left, top, right, bottom], size) {
  const extent = Math.max(right - left, bottom - top);
  const margin = Math.max(MARGIN * extent, (LEAST_SHARE * Math.max(photo.width, photo.height) - extent) / 2);
  const whole = fitPhoto(photo, size);
  const near = fit([left - margin, top - margin, right + margin, bottom + margin], size, 8);
  return near.scale > whole.scale ? bounded(near, photo, size) : whole;
}

/** Zoom by a turn of the wheel, the point under the mouse staying where it is. */
export function zoomed(view, by, at, photo, size) {
  const least = fitPhoto(photo, size).scale * 0.5;
  const scale = Math.min(Math.max(view.scale * STEP ** -by, least), MOST);
  const ratio = scale / view.scale;
  return bounded({scale, x: at.x - ratio * (at.x - view.x), y: at.y - ratio * (at.y - view.y)}, photo, size);
}

export const moved = (view, dx, dy, photo, size) => bounded({...view, x: view.x + dx, y: view.y + dy}, photo, size);

/** Some of the photo stays on the canvas. */
function bounded(view, photo, size) {
  const within = (offset, extent, room) => {
    const most = Math.min(extent, room) * 0.75; // may be out of sight
    return Math.min(Math.max(offset, Math.min(room - extent, 0) - most), Math.max(room - extent, 0) + most);
  };
  const {scale} = view;
  return {scale, x: within(view.x, scale * photo.width, size.width), y: within(view.y, scale * photo.height, size.height)};
}

export const toScreen = ({scale, x, y}, [px, py]) => ({x: x + scale * px, y: y + scale * py});

/** A place on the photo, px, not outside it. */
export function toPhoto({scale, x, y}, at, {width, height}) {
  const inside = (value, most) => Math.min(Math.max(value, 0), most);
  return [inside((at.x - x) / scale, width), inside((at.y - y) / scale, height)];
}

/** Whether all of a box is on the canvas, and not as small as a dot. */
export function isInView(view, [left, top, right, bottom], size) {
  const [from, to] = [toScreen(view, [left, top]), toScreen(view, [right, bottom])];
  const isLarge = Math.max(to.x - from.x, to.y - from.y) > 0.3 * Math.min(size.width, size.height);
  return isLarge && from.x >= 0 && from.y >= 0 && to.x <= size.width && to.y <= size.height;
}
