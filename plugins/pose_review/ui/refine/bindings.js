/**
 * The one list of keys: keys.js obeys it, the help shows it. With Shift they are those of Label Studio's bridge
 * (clickpose_labelstudio/static/bridge/keys/bindings.js), so that hands need to learn them once; a test compares the two.
 * `action` is a function of actions.js; null for what the mouse does.
 */
const PERSON = "Person under the mouse, else the chosen one";
const JOINT = "Joint under the mouse, else the chosen one";
const WORK = "Steps";
const WAY = "Finding what is left to do";
const VIEW = "What is shown";
const MOUSE = "Mouse";

export const bindings = [
  {keys: ["drag"], does: "put a joint in place: the rest of the person follows", group: MOUSE, action: null},
  {keys: ["click"], does: "choose a person or a joint", group: MOUSE, action: null},
  {keys: ["Ctrl", "click"], does: "put the chosen joint there", group: MOUSE, action: null},
  {keys: ["wheel"], does: "zoom; drag beside the joints, with Space or the middle button: move", group: MOUSE, action: null},
  {keys: ["Z"], does: "undo a step: a correction, or a save", group: WORK, action: "undo"},
  {keys: ["Y"], does: "do it again", group: WORK, action: "redo"},
  {keys: ["Enter"], does: "save all of the photo", group: WORK, action: "save"},
  {keys: ["D"], does: "save, accept the person, and go on", group: WORK, action: "acceptAndGo"},
  {keys: ["F"], does: "have the rest follow joints that were placed in the Annotate tab, where the app allows that", group: WORK,
    action: "follow"},
  {keys: ["+"], does: "add a person: draw a box", group: WORK, action: "addPerson"},
  {keys: ["Escape"], does: "leave it", group: WORK, action: "leave"},
  {keys: ["Shift", "A"], does: "accept the person as it is", group: PERSON, action: "acceptPerson"},
  {keys: ["Shift", "X"], does: "exchange left and right", group: PERSON, action: "exchangePerson"},
  {keys: ["Shift", "H"], does: "hide; beside everybody: show all again", group: PERSON, action: "hidePerson"},
  {keys: ["Shift", "I"], does: "show this person alone, or everybody again", group: PERSON, action: "isolatePerson"},
  {keys: ["Shift", "Backspace"], does: "delete the person, box and joints", group: PERSON, action: "deletePerson"},
  {keys: ["Shift", "V"], does: "visible or occluded", group: JOINT, action: "toggleVisibility"},
  {keys: ["Shift", "P"], does: "exchange it with the joint of the other side", group: JOINT, action: "exchangePair"},
  {keys: ["Shift", "E"], does: "the same from here to the end of the arm or leg", group: JOINT, action: "exchangeLimb"},
  {keys: ["Backspace"], does: "delete the joint", group: JOINT, action: "deleteJoint"},
  {keys: ["Shift", "N"], does: "next doubtful joint", group: WAY, action: "nextDoubtful"},
  {keys: ["Alt", "Shift", "N"], does: "the one before", group: WAY, action: "previousDoubtful"},
  {keys: ["N"], does: "next person in the queue", group: WAY, action: "next"},
  {keys: ["P"], does: "back to the person before", group: WAY, action: "back"},
  {keys: ["B"], does: "before and after", group: VIEW, action: "compare"},
  {keys: ["T"], does: "what is labelled (ground truth)", group: VIEW, action: "toggleTruth"},
  {keys: ["W"], does: "whole photo, or the person", group: VIEW, action: "toggleWhole"},
  {keys: ["Shift", "B"], does: "bones on or off", group: VIEW, action: "toggleBones"},
  {keys: ["Shift", "J"], does: "joint names on or off", group: VIEW, action: "toggleNames"},
  {keys: ["Shift", "F"], does: "fade what is only predicted", group: VIEW, action: "toggleFade"},
  {keys: ["?"], does: "signs and keys", group: VIEW, action: "toggleHelp"},
];

const MODIFIERS = ["Ctrl", "Alt", "Shift", "Meta"];
const SYMBOLS = ["+", "?"]; // where they are printed differs among keyboards, and so does whether Shift is held for them
const USUAL = {z: "undo", y: "redo", Z: "redo"}; // with Ctrl, or the Mac's key

/** The action that a key event means, or null. */
export function actionOf(event) {
  const {key, code, ctrlKey, metaKey, altKey, shiftKey} = event;
  if ((ctrlKey || metaKey) && !altKey) return USUAL[key] ?? null;
  const letter = /^[a-z]$/i.test(key) ? key.toUpperCase() : code?.match(/^Key([A-Z])$/)?.[1] ?? key;
  const pressed = {Delete: "Backspace", "=": shiftKey ? "+" : "="}[letter] ?? letter;
  const held = {Ctrl: ctrlKey, Alt: altKey, Shift: shiftKey, Meta: metaKey};
  const isHeld = ({keys}) =>
    MODIFIERS.every((name) => held[name] === keys.includes(name) || (name === "Shift" && SYMBOLS.includes(keys[0])));
  return bindings.find((binding) => binding.action && binding.keys.at(-1) === pressed && isHeld(binding))?.action ?? null;
}
