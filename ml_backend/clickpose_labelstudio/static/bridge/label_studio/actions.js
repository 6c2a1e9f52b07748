/** Stands before an action of one of Label Studio's objects, without changing what others of its kind do. */

/** Put `make(original)` in the place of an action; `original` takes the same arguments. */
export function replaceAction(object, name, make) {
  const value = make(object[name].bind(object));
  Object.defineProperty(object, name, {value, configurable: true, writable: true, enumerable: false});
}

/** Whether an action can be replaced. */
export const isReplaceable = (object, name) =>
  typeof object?.[name] === "function" && Object.getOwnPropertyDescriptor(object, name)?.configurable !== false;
