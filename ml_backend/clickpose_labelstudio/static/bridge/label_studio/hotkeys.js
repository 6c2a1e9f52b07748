/** Hotkeys of Label Studio: of the labels and choices of the configuration, and those that the annotator has set. */

const ORDER = ["alt", "ctrl", "meta", "shift"];

/** One way of writing a combination of keys: "shift+a". */
function written(keys) {
  const names = keys.map((key) => key.trim().toLowerCase());
  return [...names.filter((key) => ORDER.includes(key)).sort(), ...names.filter((key) => !ORDER.includes(key))].join("+");
}

/** The combinations of a setting such as "ctrl+a,shift+a". */
const combinations = (setting) => String(setting).split(",").map((keys) => written(keys.split("+")));

/** Whether keys, such as ["Shift", "A"], do something of Label Studio's in this annotation. */
export function isTaken(annotation, keys) {
  const wanted = written(keys);
  return [...ofConfiguration(annotation), ...ofAnnotator()].flatMap(combinations).includes(wanted);
}

function ofConfiguration(annotation) {
  const tags = [...(annotation.names?.values() ?? [])];
  return tags.flatMap((tag) => [tag, ...(tag.children ?? [])]).map(({hotkey}) => hotkey).filter(Boolean);
}

function ofAnnotator() {
  const own = Object.values(window.APP_SETTINGS?.user?.customHotkeys ?? {});
  return own.filter(({active}) => active !== false).map(({key}) => key).filter(Boolean);
}
