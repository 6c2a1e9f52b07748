/** When to draw: once, after something has changed; nothing runs while nothing does. */

let draw = () => {};
let isAsked = false; // a drawing at the next frame has been asked for
let isDue = false; // or one at the end of what runs just now

/** Get to know what draws. */
export function connect(callback) {
  draw = callback;
}

/** Draw once at the next frame, however often this is called until then. */
export function invalidate() {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => {
    isAsked = false;
    draw();
  });
}

/** Draw as soon as what runs just now has ended, so that what has just been painted and this are seen together. */
export function invalidateNow() {
  if (isDue) return;
  isDue = true;
  queueMicrotask(() => {
    isDue = false;
    draw();
  });
}
