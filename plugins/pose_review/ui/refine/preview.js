/**
 * Somebody as it would be while one of its joints is dragged: the joint is where the mouse is, the others where the network
 * saw them last. One decoding at a time, of the newest place of the mouse. What was shown at the release stays until the
 * answer is there.
 */
import * as people from "./people.js";

export class Preview {
  id = null; // who is shown otherwise; null for nobody
  person = null; // and how
  #instant;
  #onShown; // something is to be painted
  #placed = null; // the person with the joint under the mouse, the others as they were
  #others = null; // the latest {id, record} that was foreseen
  #movedAt = 0;
  #isDragged = false;
  #isBusy = false;

  constructor(instant, onShown) {
    this.#instant = instant;
    this.#onShown = onShown;
  }

  /** The mouse has moved: a person with a joint under it. */
  drag(placed) {
    if (this.#others?.id !== placed.id) this.#others = null;
    this.#isDragged = true;
    this.#movedAt = performance.now();
    this.#placed = placed;
    this.#show();
    if (!this.#isBusy) this.#follow();
  }

  #show() {
    this.id = this.#placed.id;
    this.person = this.#others ? people.follow(this.#placed, this.#others.record) : this.#placed;
    this.#onShown();
  }

  async #follow() {
    this.#isBusy = true;
    let asked = null;
    while (this.#isDragged && asked !== this.#placed) {
      asked = this.#placed;
      const since = this.#movedAt;
      const record = await this.#instant.foresee(asked);
      if (!record || !this.#isDragged || this.#placed.id !== asked.id) continue;
      this.#others = {id: asked.id, record};
      this.#show();
      const {told} = this.#instant;
      told.previews += 1;
      told.delays = [...told.delays.slice(-199), performance.now() - since];
    }
    this.#isBusy = false;
  }

  /** The mouse was released: what is shown stays until `end`. */
  release() {
    this.#isDragged = false;
    this.#others = null;
  }

  /** Show everybody as they are, but for who is being dragged just now. */
  end() {
    if (this.#isDragged) return;
    Object.assign(this, {id: null, person: null});
    this.#onShown();
  }

  /** Nothing was meant. */
  cancel() {
    this.release();
    this.end();
  }
}
