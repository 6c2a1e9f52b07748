/** Stands before an action of one of Label Studio's objects, without changing what others of its kind do; or makes one. */

/** Put `make(original)` in the place of an action; `original` takes the same arguments. */
export function replaceAction(object, name, make) {
  const value = make(object[name].bind(object));
  Object.defineProperty(object, name, {value, configurable: true, writable: true, enumerable: false});
}

/** Whether an action can be replaced. */
export const isReplaceable = (object, name) =>
  typeof object?.[name] === "function" && Object.getOwnPropertyDescriptor(object, name)?.configurable !== false;

/**
 * Run `change` as one action of Label Studio's tree, which lets nothing be changed otherwise: what follows from changes
 * (snapshots of all regions, what is shown) is worked out once after all of them. Any action that calls back serves.
 */
export function runAsAction(annotation, change) {
  let isDone = false;
  annotation.traverseTree(() => {
    if (!isDone) change();
    isDone = true;
    return "stop";
  });
}
