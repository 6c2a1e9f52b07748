/** Where the mouse is, client pixels. */
let at = {x: -1, y: -1};

export const pointer = () => at;

export function follow() {
  window.addEventListener("pointermove", (event) => (at = {x: event.clientX, y: event.clientY}), {
    capture: true,
    passive: true,
  });
}
