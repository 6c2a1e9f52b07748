/**
 * The one list of keys: keys.js obeys it; the help, the page of pictures and the README show it.
 *
 * Shift with a letter, since Label Studio gives plain letters and digits to labels and tools, Ctrl and Alt to itself. A
 * letter is the one printed on the key. `action` is a function of actions.js; null for what the mouse does.
 */
const PERSON = "Person under the mouse";
const JOINT = "Joint under the mouse";
const VIEW = "What is shown";
const WAY = "Finding what is left to do";
const MOUSE = "Mouse";

export const bindings = [
  {keys: ["Shift", "A"], does: "accept the person as it is", group: PERSON, action: "acceptPerson"},
  {keys: ["Shift", "X"], does: "exchange left and right", group: PERSON, action: "exchangePerson"},
  {keys: ["Shift", "H"], does: "hide; beside everybody: show all again", group: PERSON, action: "hidePerson"},
  {keys: ["Shift", "L"], does: "lock or unlock", group: PERSON, action: "lockPerson"},
  {keys: ["Shift", "I"], does: "show this person alone, or everybody again", group: PERSON, action: "isolatePerson"},
  {keys: ["Shift", "Backspace"], does: "delete the person, box and joints", group: PERSON, action: "deletePerson"},
  {keys: ["Shift", "V"], does: "visible or occluded", group: JOINT, action: "toggleVisibility"},
  {keys: ["Shift", "P"], does: "exchange it with the joint of the other side", group: JOINT, action: "exchangePair"},
  {keys: ["Shift", "E"], does: "the same from here to the end of the arm or leg", group: JOINT, action: "exchangeLimb"},
  {keys: ["Shift", "N"], does: "next doubtful joint", group: WAY, action: "nextDoubtful"},
  {keys: ["Alt", "Shift", "N"], does: "the one before", group: WAY, action: "previousDoubtful"},
  {keys: ["Shift", "G"], does: "next problem: loose or double joints, persons without a box, …", group: WAY,
    action: "nextProblem"},
  {keys: ["Shift", "B"], does: "bones on or off", group: VIEW, action: "toggleBones"},
  {keys: ["Shift", "J"], does: "joint names on or off", group: VIEW, action: "toggleNames"},
  {keys: ["Shift", "F"], does: "fade what is only predicted", group: VIEW, action: "toggleFade"},
  {keys: ["?"], does: "signs, keys and corrections in pictures", group: VIEW, action: "toggleHelp"},
  {keys: ["drag"], does: "put a joint in place: the rest of the person follows", group: MOUSE, action: null},
  {keys: ["Ctrl", "click"], does: "with a joint's label chosen: place or move that joint inside a box", group: MOUSE,
    action: null},
  {keys: ["draw"], does: "an empty person box adds somebody", group: MOUSE, action: null},
];

const MODIFIERS = ["Ctrl", "Alt", "Shift", "Meta"];
const LATIN = /^[a-z]$/i;
const LETTER = /^\p{L}$/u;

/** The key of an event as the list names it: the letter printed on it; its place where that is no Latin letter. */
function keyOf({key, code, altKey}) {
  if (LATIN.test(key)) return key.toUpperCase();
  const place = code?.match(/^Key([A-Z])$/)?.[1];
  return place && (LETTER.test(key) || key === "Dead" || altKey) ? place : key;
}

/** The binding that a key event means, or null. */
export function bindingOf(event) {
  const key = keyOf(event);
  const held = {Ctrl: event.ctrlKey, Alt: event.altKey, Shift: event.shiftKey, Meta: event.metaKey};
  const isHeld = ({keys}) =>
    MODIFIERS.every((name) => held[name] === keys.includes(name) || (name === "Shift" && keys[0] === "?"));
  return bindings.find((binding) => binding.action && binding.keys.at(-1) === key && isHeld(binding)) ?? null;
}
