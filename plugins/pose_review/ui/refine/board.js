/** The canvas: paints a session, and turns what the mouse does into steps of it. */
import * as people from "./people.js";
import * as viewport from "./viewport.js";
import {load} from "./picture.js";
import {paintPeople, paintPhoto, prepare} from "./paint.js";
import {pick} from "./picking.js";

const DRAG_PX = 3; // the mouse goes this far before a press is a drag
const LEAST_BOX_PX = 8; // a smaller box is a slip of the mouse

export class Board {
  view = null; // see viewport.js
  picture = null;
  problem = null; // why there is no picture
  scene = [];
  mode = null; // "box": a person is drawn; "place": the next click puts the chosen joint there
  shown = {bones: true, fade: false, alone: false, hidden: new Set(), hovered: null, hoveredJoint: null};
  isCompared = false; // with what it was before
  isTruthShown = false;
  areNamesShown = false;
  #session;
  #canvases = null; // {photo, people}
  #size = {width: 0, height: 0, ratio: 1};
  #gesture = null;
  #isAsked = false;
  #loaded = null; // path of the picture
  #isSpaceHeld = false;
  #onChange;

  constructor(session, onChange) {
    this.#session = session;
    this.#onChange = onChange;
    session.subscribe(() => this.#follow());
    session.onPreview = () => this.invalidate();
  }

  /** Paint on the canvases of an element, as large as it is, until the returned function is called. */
  attach(element, canvases) {
    this.#canvases = canvases;
    const observer = new ResizeObserver(() => this.#resize(element));
    observer.observe(element);
    const wheel = (event) => this.#wheel(event);
    element.addEventListener("wheel", wheel, {passive: false});
    this.#resize(element);
    return () => {
      observer.disconnect();
      element.removeEventListener("wheel", wheel);
      this.#canvases = null;
    };
  }

  #resize(element) {
    const {width, height} = element.getBoundingClientRect();
    const before = this.#size;
    this.#size = {width, height, ratio: window.devicePixelRatio || 1};
    const isFirst = before.width < 2 || !this.view;
    if (this.#session.photo && isFirst) this.fitChosen();
    else if (this.view) this.view = viewport.moved(this.view, (width - before.width) / 2, (height - before.height) / 2, this.#session.photo, this.#size);
    this.invalidate(true);
  }

  /** Something about the session is different. */
  #follow() {
    const {photo} = this.#session;
    const key = photo && `${photo.sample_id} ${photo.filepath}`;
    if (key !== this.#loaded) this.#load(photo, key);
    this.invalidate();
  }

  async #load(photo, key) {
    Object.assign(this, {picture: null, problem: null, view: null, mode: null});
    this.#loaded = key;
    this.#gesture = null;
    Object.assign(this.shown, {hidden: new Set(), alone: false, hovered: null, hoveredJoint: null});
    if (!photo) return;
    this.fitChosen();
    const picture = await load(photo, (name) => this.#session.ask(name));
    if (key !== this.#loaded) return;
    if (picture.problem) this.problem = picture.problem;
    else this.picture = picture;
    this.invalidate(true);
    this.#onChange();
  }

  /** Who is chosen with its surroundings. */
  fitChosen() {
    const {photo} = this.#session;
    const person = this.#session.person();
    if (!photo || this.#size.width < 2) return;
    this.view = person ? viewport.fitPerson(photo, person.box, this.#size) : viewport.fitPhoto(photo, this.#size);
    this.invalidate(true);
  }

  /** All of the photo, or who is chosen where that is what is seen. */
  toggleWhole() {
    const {photo} = this.#session;
    const whole = viewport.fitPhoto(photo, this.#size);
    const isWhole = Math.abs(this.view.scale / whole.scale - 1) < 0.01;
    if (isWhole) this.fitChosen();
    else this.view = whole;
    this.invalidate(true);
  }

  /** Have who is chosen in view. */
  bringIntoView() {
    const person = this.#session.person();
    if (person && this.view && !viewport.isInView(this.view, person.box, this.#size)) this.fitChosen();
  }

  set(changes) {
    Object.assign(this, changes);
    this.invalidate();
    this.#onChange();
  }

  show(changes) {
    this.set({shown: {...this.shown, ...changes}});
  }

  /** Paint at the next frame. */
  invalidate(isPhotoToo = false) {
    this.isPhotoDue ||= isPhotoToo;
    if (this.#isAsked) return;
    this.#isAsked = true;
    requestAnimationFrame(() => {
      this.#isAsked = false;
      if (this.#canvases) this.#paint();
    });
  }

  #paint() {
    const {photo} = this.#session;
    const size = this.#size;
    if (this.isPhotoDue) {
      const context = prepare(this.#canvases.photo, size);
      if (photo && this.view && this.picture) {
        const {image, copy, copyScale} = this.picture;
        paintPhoto(context, {image: copy && this.view.scale * size.ratio <= copyScale ? copy : image}, photo, this.view);
      }
      this.isPhotoDue = false;
    }
    const context = prepare(this.#canvases.people, size);
    this.scene = [];
    if (!photo || !this.view) return;
    const before = this.isCompared ? this.earlier() : null;
    this.scene = paintPeople(context, this.#session, this.view, size, {
      shown: this.shown, before, truth: this.isTruthShown, names: this.areNamesShown,
      box: this.#gesture?.kind === "box" ? this.#gesture.box : null,
    });
  }

  /** Who is chosen as it was before: as it is in the dataset, or, where nothing of it is unsaved, as the network gave it. */
  earlier() {
    const person = this.#session.person();
    const stored = person && this.#session.stored.get(person.id);
    if (!stored) return null;
    return this.#session.isChanged(person) ? stored : stored.network;
  }

  // the mouse

  #at({clientX, clientY}) {
    const {left, top} = this.#canvases.people.getBoundingClientRect();
    return {x: clientX - left, y: clientY - top};
  }

  /** Where a place of the photo is on the page, client px: for tests, and for menus. */
  clientPlace(position) {
    const {left, top} = this.#canvases.people.getBoundingClientRect();
    const {x, y} = viewport.toScreen(this.view, position);
    return {x: x + left, y: y + top};
  }

  #wheel(event) {
    if (!this.#session.photo || !this.view) return;
    event.preventDefault();
    const by = event.deltaY * (event.deltaMode === 1 ? 30 : 1) * (event.ctrlKey ? 4 : 1);
    this.view = viewport.zoomed(this.view, by, this.#at(event), this.#session.photo, this.#size);
    this.invalidate(true);
  }

  holdSpace(isHeld) {
    this.#isSpaceHeld = isHeld;
    this.#onChange();
  }

  cursor() {
    if (this.#gesture?.kind === "pan") return "grabbing";
    if (this.#isSpaceHeld) return "grab";
    if (this.mode) return "crosshair";
    return this.shown.hoveredJoint !== null ? "move" : this.shown.hovered !== null ? "pointer" : "default";
  }

  press(event) {
    const session = this.#session;
    if (!session.photo || !this.view || event.button > 1) return;
    const at = this.#at(event);
    const start = {at, from: at, isMoved: false};
    const isPan = event.button === 1 || this.#isSpaceHeld;
    if (event.button === 1) event.preventDefault();
    const hit = pick(this.scene, at);
    if (isPan) this.#gesture = {...start, kind: "pan"};
    else if (this.mode === "box") this.#gesture = {...start, kind: "box", box: this.#boxOf(at, at)};
    else if (this.mode === "place" || ((event.ctrlKey || event.metaKey) && session.joint !== null)) this.#gesture = {...start, kind: "place"};
    else if (hit && hit.joint !== null) this.#grab(start, hit);
    else this.#gesture = {...start, kind: "pan", hit};
    this.#onChange();
  }

  #grab(start, {id, joint}) {
    const session = this.#session;
    if (session.chosen !== id || session.joint !== joint) session.choose(id, joint);
    const person = session.person(id);
    const [x, y] = person.joints[joint];
    this.#gesture = {...start, kind: "joint", id, joint, before: person, offset: [x, y]};
  }

  #boxOf(from, to) {
    const [a, b] = [from, to].map((at) => viewport.toPhoto(this.view, at, this.#session.photo));
    return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])];
  }

  move(event) {
    const {photo} = this.#session;
    if (!photo || !this.view || !this.#canvases) return;
    const at = this.#at(event);
    const gesture = this.#gesture;
    if (!gesture) {
      this.#hover(at);
      return;
    }
    gesture.isMoved ||= Math.hypot(at.x - gesture.at.x, at.y - gesture.at.y) > DRAG_PX;
    if (!gesture.isMoved) return;
    if (gesture.kind === "pan") {
      this.view = viewport.moved(this.view, at.x - gesture.from.x, at.y - gesture.from.y, photo, this.#size);
      this.invalidate(true);
    } else if (gesture.kind === "box") gesture.box = this.#boxOf(gesture.at, at);
    else if (gesture.kind === "joint") this.#drag(gesture, at);
    gesture.from = at;
    this.invalidate();
  }

  #drag(gesture, at) {
    const session = this.#session;
    const now = session.person(gesture.id);
    if (!now?.joints[gesture.joint]) {
      this.#gesture = null; // undone, or another photo, meanwhile
      session.preview.cancel();
      return;
    }
    const {scale} = this.view;
    const [x, y] = gesture.offset;
    const [width, height] = [session.photo.width, session.photo.height];
    const to = [x + (at.x - gesture.at.x) / scale, y + (at.y - gesture.at.y) / scale];
    gesture.to = [Math.min(Math.max(to[0], 0), width), Math.min(Math.max(to[1], 0), height)];
    session.preview.drag(people.place(now, gesture.joint, gesture.to));
  }

  #hover(at) {
    const hit = this.mode ? null : pick(this.scene, at);
    const [hovered, hoveredJoint] = [hit?.id ?? null, hit?.joint ?? null];
    if (hovered === this.shown.hovered && hoveredJoint === this.shown.hoveredJoint) return;
    if (hovered !== this.shown.hovered) this.#session.approach(hovered);
    this.show({hovered, hoveredJoint});
  }

  leave() {
    if (!this.#gesture && this.shown.hovered !== null) this.show({hovered: null, hoveredJoint: null});
  }

  /** The mouse was taken away, such as by a dialog: nothing was meant. */
  cancel() {
    this.#gesture = null;
    this.#session.preview.cancel();
    this.set({mode: null});
  }

  release(event) {
    const gesture = this.#gesture;
    this.#gesture = null;
    const session = this.#session;
    session.preview.release();
    if (!gesture) return;
    const at = this.#at(event);
    if (gesture.kind === "joint" && gesture.to) this.#drop(gesture);
    else if (gesture.kind === "box") this.#finishBox(gesture, at);
    else if (gesture.kind === "place") this.placeJoint(viewport.toPhoto(this.view, at, session.photo));
    else if (gesture.kind === "pan" && !gesture.isMoved && event.button === 0) session.choose(gesture.hit?.id ?? session.chosen, null);
    this.#onChange();
    this.invalidate();
  }

  #drop({id, joint, to}) {
    const before = this.#session.person(id);
    if (before?.joints[joint]) this.#session.place(before, joint, to);
    else this.#session.preview.end();
  }

  /** Put the chosen joint somewhere, also one that is not there yet. */
  placeJoint(position) {
    const session = this.#session;
    const person = session.person();
    this.set({mode: null});
    if (person && session.joint !== null) session.place(person, session.joint, position);
  }

  async #finishBox(gesture, at) {
    const session = this.#session;
    const box = this.#boxOf(gesture.at, at);
    const {scale} = this.view;
    this.set({mode: null});
    if (Math.max(box[2] - box[0], box[3] - box[1]) * scale < LEAST_BOX_PX) session.say("No person was added: the box is too small.");
    else await session.addPerson(box);
  }
}
