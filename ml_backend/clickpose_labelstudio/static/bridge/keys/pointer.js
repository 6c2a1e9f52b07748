/** Where the mouse is, client pixels, and whether it is pressed. */
let at = {x: -1, y: -1};
let isDown = false;

export const pointer = () => at;

/** Until the mouse is moved, nothing is under it: a key has gone to something, and the next one means that. */
export const rest = () => (at = {x: -1, y: -1});

export const isPressed = () => isDown;

/** Watch the mouse from now on. */
export function follow() {
  const see = ({clientX, clientY, buttons}) => {
    at = {x: clientX, y: clientY};
    isDown = buttons > 0;
  };
  for (const type of ["pointermove", "pointerdown", "pointerup"]) {
    window.addEventListener(type, see, {capture: true, passive: true});
  }
}
