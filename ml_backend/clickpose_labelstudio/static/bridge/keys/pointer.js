/** Where the mouse is, client pixels, and whether it is pressed. */
let at = {x: -1, y: -1};
let isDown = false;

export const pointer = () => at;
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
