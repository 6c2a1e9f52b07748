/**
 * People whom a key has settled and whose answer is still on its way: the queue goes on without waiting for it. What the
 * panel draws then is right by itself, so nobody counts whom it does not show any more.
 */
import {React} from "./app.js";

const listeners = new Set();
let settled = []; // ids of their labels

const change = (next) => {
  settled = next;
  listeners.forEach((listener) => listener());
};

export const add = (id) => change([...settled, id]);
export const remove = (id) => change(settled.filter((other) => other !== id));
export const has = (id) => settled.includes(id);

/** The ids; a component that asks is drawn anew when they change. */
export function useAhead() {
  const [, draw] = React.useState(0);
  React.useEffect(() => {
    const listener = () => draw((count) => count + 1);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  return settled;
}
