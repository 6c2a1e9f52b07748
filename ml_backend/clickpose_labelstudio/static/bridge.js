/**
 * Click-Pose bridge: runs on Label Studio's pages and changes nothing but what the annotator sees and edits there.
 *
 * - Every edit of a person (a keypoint dragged or placed, a box drawn, moved or resized) is sent to the Click-Pose
 *   backend; the answer moves the other joints and the box of that person.
 * - It draws the bones between a person's keypoints, coloured by predicted OKS.
 *
 * How edits and undo go together: a drag and the refinement that follows are ONE step of Label Studio's history, so
 * one undo restores exactly what was there before the mouse was pressed. Should the annotator do something else while
 * the answer is on its way, the refinement becomes a step of its own. An edit made meanwhile takes the unanswered ones
 * along in its request, and the older answer is dropped.
 *
 * What a human has placed or confirmed is kept where Label Studio keeps it: in the `origin` of the region, which is
 * "prediction" until the annotator moves or accepts it. It is saved with drafts and restored by undo. The bridge moves
 * regions without touching their origin.
 *
 * `Htx` is not a public interface of Label Studio. Everything that is known about it is in the module `labelStudio`
 * below; on a version that has not been tested the bridge says so and does nothing, and the stock smart click remains.
 */
(() => {
  "use strict";

  if (window.__clickposeBridge) return; // delivered twice, say by a userscript and by a proxy

  const CONFIG = {joints: [], bones: [], testedVersions: [], timeoutMs: 10000, ...window.__clickposeConfig};
  const HISTORY_KEY = "clickpose"; // under which the history is held while one step is made
  const SCORE_KEY = "predicted_oks"; // in the meta of a region: its score since the last refinement
  const LATE_MS = 80; // Label Studio finishes some new regions a moment after the click

  /** What tests and the curious can read: `__clickposeBridge.diagnostics`. */
  const diagnostics = {requests: 0, applied: 0, dropped: 0, redraws: 0, bones: 0, last: null};

  // ------------------------------------------------------------------------------------------------ labelStudio ----
  /** The only part that knows how Label Studio's page is built. Coordinates are percent of the image. */
  const labelStudio = (() => {
    const cleanId = (id) => String(id ?? "").replace(/#.*/, "");

    function version() {
      const versions = window.APP_SETTINGS?.version;
      return versions?.["label-studio-os-package"]?.version ?? versions?.release ?? null;
    }

    /** The selected annotation with its image and stage, or null where nothing is being labelled. */
    function view() {
      const annotation = window.Htx?.annotationStore?.selected;
      const image = annotation?.objects?.find((object) => object.type === "image");
      const stage = image?.stageRef;
      if (!stage?.content?.isConnected || !(image.stageWidth > 1)) return null;
      return {annotation, image, stage};
    }

    const isSelected = (annotation) => window.Htx?.annotationStore?.selected === annotation;
    const isEditable = (annotation) => annotation.type === "annotation" && !annotation.isReadOnly();
    const isKeypoint = (region) => region.type === "keypointregion";
    const isBox = (region) => region.type === "rectangleregion";
    const parentId = (region) => cleanId(region.parentID);
    const isTouched = (region) => region.origin !== "prediction";
    const visibilityControl = (region) => region.perRegionTags.find((tag) => tag.type === "choices");

    function choiceOf(region) {
      return region.results.find((result) => result.type === "choices");
    }

    function isOccluded(region) {
      return Boolean(choiceOf(region)?.mainValue?.some(meansOccluded));
    }

    function meansOccluded(text) {
      const words = text.replace(/[_\s]+/g, " ").trim();
      return /^(occluded|hidden|invisible|not visible|obscured|covered|v?1)$/i.test(words);
    }

    /** Predicted OKS of a region, 0..1; null where nothing has predicted it. */
    function score(region) {
      const labels = region.labeling;
      return labels?.meta?.[SCORE_KEY] ?? labels?.score ?? region.score ?? null;
    }

    function setScore(region, value) {
      if (typeof value === "number" && score(region) !== value) region.labeling?.setMetaValue(SCORE_KEY, value);
    }

    /** Where a keypoint is on the stage's own canvas, px, also while it is being dragged. */
    function stagePoint(region, transform) {
      const shape = region.shapeRef;
      const live = shape?.isDragging?.() ? {x: shape.x(), y: shape.y()} : {x: region.canvasX, y: region.canvasY};
      return transform.point(live);
    }

    /** Numbers of the place of a region, to tell later whether it has moved. */
    function place(region) {
      return isBox(region)
        ? [region.x, region.y, region.width, region.height, region.rotation]
        : [region.x, region.y];
    }

    function moveTo(region, value) {
      const image = region.object;
      const x = image.internalToCanvasX(value.x);
      const y = image.internalToCanvasY(value.y);
      if (isKeypoint(region)) region.setPosition(x, y);
      else {
        const [width, height] = [image.internalToCanvasX(value.width), image.internalToCanvasY(value.height)];
        region.setPosition(x, y, width, height, value.rotation ?? 0);
      }
    }

    /** Show or hide the occluded choice of a keypoint; visible is written as no choice at all. */
    function toggleOccluded(region) {
      const control = visibilityControl(region);
      const occluded = control?.children?.map((choice) => choice.alias ?? choice._value).find(meansOccluded);
      if (!occluded) return false;
      const present = choiceOf(region);
      if (present && isOccluded(region)) region.removeResult(present);
      else if (present) present.setValue([occluded]);
      else {
        const id = `${control.name}@${region.id}`;
        region.addResult({id, from_name: control, to_name: region.object, type: "choices", value: {choices: [occluded]}});
      }
      if (region.selected) control.updateFromResult?.(isOccluded(region) ? [occluded] : []);
      return true;
    }

    /**
     * Label Studio draws the first region on top, and the interior of a box catches the mouse: bring boxes that lie
     * before a keypoint behind all of them, by making them anew with the same ids.
     */
    function sendBoxesToBack(annotation) {
      const regions = annotation.regions.filter((region) => isKeypoint(region) || isBox(region));
      const first = regions.findIndex(isBox);
      if (first < 0 || !regions.slice(first).some(isKeypoint)) return;
      const boxes = regions.filter(isBox);
      const ids = new Set(boxes.map((box) => box.cleanId));
      const items = annotation.serializeAnnotation().filter((item) => ids.has(item.id));
      boxes.forEach((box) => annotation.deleteArea(box));
      annotation.deserializeResults(items);
    }

    /** Run `change` as one step of the history; `replace`: as part of the latest step. */
    function asOneStep(annotation, change, {replace = false} = {}) {
      const {history} = annotation;
      if (replace) history.setReplaceNextUndoState(true);
      history.freeze(HISTORY_KEY);
      try {
        change();
      } finally {
        history.unfreeze(HISTORY_KEY);
      }
    }

    /** The latest step of the history, to tell later whether another one has been made or taken back. */
    function latestStep({history}) {
      return {index: history.undoIdx, state: history.history[history.undoIdx]};
    }

    function isLatestStep(annotation, step) {
      const now = latestStep(annotation);
      return now.index === step.index && now.state === step.state && step.index > 0;
    }

    const projectId = () => location.pathname.match(/\/projects\/(\d+)/)?.[1] ?? null;
    const pathPrefix = () => {
      const {hostname} = window.APP_SETTINGS ?? {};
      return hostname ? new URL(hostname, location.href).pathname.replace(/\/$/, "") : "";
    };

    return {
      asOneStep, cleanId, isBox, isEditable, isKeypoint, isLatestStep, isOccluded, isSelected, isTouched,
      latestStep, moveTo, parentId, pathPrefix, place, projectId, score, sendBoxesToBack, setScore, stagePoint,
      toggleOccluded, version, view,
    };
  })();

  // --------------------------------------------------------------------------------------------------- skeleton ----
  /** Matches labels with joints in any usual spelling, as the backend does. */
  const skeleton = (() => {
    const SIDES = {l: "left", left: "left", r: "right", right: "right"};

    function normalize(name) {
      const spaced = name.replace(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, " ");
      const words = spaced.toLowerCase().split(/[^a-z0-9]+/).filter(Boolean);
      const sides = words.filter((word) => word in SIDES).map((word) => SIDES[word]);
      return [...sides.slice(0, 1), ...words.filter((word) => !(word in SIDES))].join("_");
    }

    const joints = new Set(CONFIG.joints.map(normalize));
    const bones = CONFIG.bones.map((ends) => ends.map(normalize));
    const cache = new Map();

    /** The joint that a label names, or null. */
    function joint(label) {
      if (!label) return null;
      if (!cache.has(label)) cache.set(label, joints.has(normalize(label)) ? normalize(label) : null);
      return cache.get(label);
    }

    return {bones, joint};
  })();

  /** Persons of an annotation: box (or null) and joint name -> keypoint region. */
  function personsOf(annotation) {
    const persons = new Map();
    for (const region of annotation.regions) {
      const isBox = labelStudio.isBox(region);
      const id = isBox ? region.cleanId : labelStudio.isKeypoint(region) ? labelStudio.parentId(region) : "";
      if (!id) continue;
      if (!persons.has(id)) persons.set(id, {id, box: null, keypoints: new Map()});
      const person = persons.get(id);
      const joint = isBox ? null : skeleton.joint(region.labelName);
      if (isBox) person.box = region;
      else if (joint && !person.keypoints.has(joint)) person.keypoints.set(joint, region);
    }
    return persons;
  }

  // ------------------------------------------------------------------------------------------------------- chip ----
  /** The small status chip with its help, and the one quiet notice. */
  const chip = (() => {
    const TEXTS = {ready: "ready", refining: "refining", offline: "offline", untested: "off on this version"};
    const COLORS = {ready: "#2f8fe0", refining: "#ffb62e", offline: "#9aa0a6", untested: "#9aa0a6"};
    const HELP = `
      <b>Click-Pose</b>
      <p>Drag a wrong keypoint: the rest of that person follows.<br>Draw an empty person box to add somebody.</p>
      <table>
        <tr><td><kbd>Shift</kbd> <kbd>B</kbd></td><td>bones on or off</td></tr>
        <tr><td><kbd>Shift</kbd> <kbd>V</kbd></td><td>keypoint under the mouse: visible or occluded</td></tr>
        <tr><td><kbd>Shift</kbd> <kbd>A</kbd></td><td>accept the person under the mouse as it is</td></tr>
      </table>
      <p class="scale"><span>doubtful</span><i></i><span>sure</span></p>
      <p>Dashed: occluded. Ring: placed or accepted by you.</p>`;
    const CSS = `
      #clickpose-chip {position: fixed; left: 12px; bottom: 12px; z-index: 900; font: 12px/1.4 system-ui, sans-serif;
        color: #3c4043; user-select: none}
      #clickpose-chip > button {display: flex; gap: 6px; align-items: center; padding: 3px 10px; border-radius: 12px;
        border: 1px solid #dadce0; background: #fffffff0; color: inherit; font: inherit; cursor: pointer}
      #clickpose-chip .dot {width: 8px; height: 8px; border-radius: 50%}
      #clickpose-chip .help, #clickpose-chip .notice {position: absolute; left: 0; bottom: 32px; width: 310px;
        padding: 10px 14px; border-radius: 8px; background: #fff; box-shadow: 0 2px 12px #0003}
      #clickpose-chip .help td {padding: 2px 10px 2px 0; vertical-align: top; white-space: nowrap}
      #clickpose-chip .help td + td {white-space: normal}
      #clickpose-chip .help p {margin: 6px 0}
      #clickpose-chip kbd {padding: 0 4px; border: 1px solid #dadce0; border-radius: 3px; background: #f8f9fa}
      #clickpose-chip .scale {display: flex; gap: 8px; align-items: center}
      #clickpose-chip .scale i {flex: 1; height: 5px; border-radius: 3px;
        background: linear-gradient(90deg, #e0301e, #ffb62e, #60cdd8, #2678e2)}
      #clickpose-chip .notice {background: #3c4043; color: #fff; transition: opacity .4s}
      #clickpose-chip [hidden] {display: none}`;
    const GAP_PX = 12;
    const NOTICE_MS = 6000;
    let root = null;
    let noticeTimer = 0;
    let hasWarned = false;
    let state = "ready";

    function build() {
      const style = document.createElement("style");
      style.textContent = CSS;
      root = document.createElement("div");
      root.id = "clickpose-chip";
      root.innerHTML =
        `<div class="help" hidden>${HELP}</div><div class="notice" role="status" hidden></div>` +
        `<button type="button"><span class="dot"></span><span class="text"></span></button>`;
      root.querySelector("button").addEventListener("click", () => {
        const help = root.querySelector(".help");
        help.hidden = !help.hidden;
      });
      root.append(style);
    }

    function attach() {
      if (!root) build();
      if (!root.isConnected) document.body.append(root);
    }

    function show(newState, detail = "") {
      attach();
      state = newState;
      root.dataset.state = state;
      root.querySelector(".text").textContent = `Click-Pose · ${TEXTS[state]}`;
      root.querySelector(".dot").style.background = COLORS[state];
      root.querySelector("button").title = detail || "Keys and colours";
      if (state === "ready") hasWarned = false;
    }

    function hide() {
      root?.remove();
    }

    /** Sit in Label Studio's bottom bar, between its two groups of buttons, where there is room. */
    function place() {
      const bar = document.querySelector(".lsf-bottombar");
      const [left, right] = [...(bar?.querySelectorAll(":scope > .lsf-bottombar__group") ?? [])].map((group) =>
        group.getBoundingClientRect(),
      );
      if (!root || !right || right.left - left.right < root.offsetWidth + 2 * GAP_PX) return;
      const {bottom, height} = bar.getBoundingClientRect();
      root.style.left = `${Math.round(left.right + GAP_PX)}px`;
      root.style.bottom = `${Math.round(window.innerHeight - bottom + (height - root.offsetHeight) / 2)}px`;
    }

    /** Say something once, until things have worked again. */
    function noticeOnce(text) {
      if (hasWarned) return;
      hasWarned = true;
      attach();
      const notice = root.querySelector(".notice");
      notice.textContent = text;
      notice.hidden = false;
      clearTimeout(noticeTimer);
      noticeTimer = setTimeout(() => (notice.hidden = true), NOTICE_MS);
    }

    return {hide, noticeOnce, place, show, state: () => state};
  })();

  // ---------------------------------------------------------------------------------------------------- backend ----
  /** Finds the project's Click-Pose backend and asks it, through Label Studio, with the annotator's own session. */
  const backend = (() => {
    const known = new Map(); // project id -> promise of the backend's id, null where there is none

    async function look(project) {
      const response = await fetch(`${labelStudio.pathPrefix()}/api/ml/?project=${project}`, {
        credentials: "same-origin",
      });
      if (!response.ok) throw new Error(`Label Studio answered ${response.status}`);
      const isOurs = (b) => /click-?pose/i.test(b.title ?? "") || /^clickpose/i.test(b.model_version ?? "");
      return (await response.json()).find((b) => b.is_interactive && isOurs(b))?.id ?? null;
    }

    /** Id of the backend of the project on the page, or null. */
    async function id() {
      const project = labelStudio.projectId();
      if (!project) return null;
      if (!known.has(project)) known.set(project, look(project));
      try {
        return await known.get(project);
      } catch (error) {
        known.delete(project); // ask again next time
        throw error;
      }
    }

    /** Regions that answer an edit. Throws when the backend is slow, away or refuses. */
    async function refine(task, context) {
      const backendId = await id();
      if (backendId === null) return [];
      const response = await fetch(`${labelStudio.pathPrefix()}/api/ml/${backendId}/interactive-annotating`, {
        method: "POST",
        credentials: "same-origin",
        headers: {"Content-Type": "application/json"},
        body: JSON.stringify({task, context}),
        signal: AbortSignal.timeout(CONFIG.timeoutMs),
      });
      if (!response.ok) throw new Error(`Label Studio answered ${response.status}`);
      const answer = await response.json();
      if (answer.errors?.length) throw new Error(String(answer.errors[0]));
      return answer.data?.result ?? [];
    }

    return {id, refine};
  })();

  // ------------------------------------------------------------------------------------------------- refinement ----
  /** Sends edits and applies the answers. */
  const refinement = (() => {
    let latest = 0; // number of the newest request; older answers are dropped
    let unanswered = {annotation: null, places: new Map()}; // edited region -> where it was when it was sent
    let waiting = null; // an answer that came while the mouse was down

    const placesOf = (annotation) =>
      new Map(
        annotation.regions
          .filter((region) => labelStudio.isKeypoint(region) || labelStudio.isBox(region))
          .map((region) => [region.cleanId, labelStudio.place(region)]),
      );

    const samePlace = (a, b) => a?.length === b?.length && a.every((number, i) => Math.abs(number - b[i]) < 1e-6);

    /** Ids of the regions that are new or lie elsewhere. */
    function changed(before, after) {
      return [...after.keys()].filter((id) => !before.has(id) || !samePlace(before.get(id), after.get(id)));
    }

    async function request(annotation, editedIds, startedAt) {
      const places = placesOf(annotation);
      rememberUnanswered(annotation, editedIds, places);
      const edit = {
        number: ++latest,
        annotation,
        edited: new Set(unanswered.places.keys()),
        places,
        childless: boxesWithoutKeypoints(annotation),
        step: labelStudio.latestStep(annotation),
        times: {mouseUp: startedAt, posted: 0, answered: 0, applied: 0},
      };
      waiting = null;
      diagnostics.requests += 1;
      chip.show("refining");
      try {
        const context = contextOf(annotation, edit.edited);
        edit.times.posted = performance.now();
        edit.items = await backend.refine(window.Htx.task.id, context);
        edit.times.answered = performance.now();
        if (edit.number === latest) chip.show("ready");
        deliver(edit);
      } catch (error) {
        fail(edit, error);
      }
    }

    /** Add to the unanswered edits; those that have been undone meanwhile are no edits any more. */
    function rememberUnanswered(annotation, editedIds, places) {
      if (unanswered.annotation !== annotation) unanswered = {annotation, places: new Map()};
      for (const [id, sent] of unanswered.places) {
        if (!samePlace(sent, places.get(id))) unanswered.places.delete(id);
      }
      editedIds.forEach((id) => unanswered.places.set(id, places.get(id)));
    }

    function contextOf(annotation, edited) {
      const touched = annotation.regions.filter(labelStudio.isTouched).map((region) => region.cleanId);
      return {
        result: annotation.serializeAnnotation(),
        edited: [...edited],
        confirmed: touched,
        draft_id: annotation.draftId,
      };
    }

    function boxesWithoutKeypoints(annotation) {
      const persons = [...personsOf(annotation).values()];
      return new Set(persons.filter((person) => person.box && !person.keypoints.size).map((person) => person.id));
    }

    function fail(edit, error) {
      if (edit.number !== latest) return;
      unanswered.places.clear();
      diagnostics.last = {failed: String(error)};
      chip.show("offline", String(error.message ?? error).slice(0, 300));
      chip.noticeOnce(
        error.name === "TimeoutError"
          ? "Click-Pose is slow to answer. Your edit is kept; the other joints stay where they are."
          : "Click-Pose does not answer. Your edit is kept; the other joints stay where they are.",
      );
    }

    /** Apply an answer, now or when the mouse is up; drop it where it no longer fits. */
    function deliver(edit) {
      if (!fits(edit)) {
        diagnostics.dropped += 1;
        return;
      }
      if (gestures.isOpen()) {
        waiting = edit;
        return;
      }
      unanswered.places.clear();
      apply(edit);
      gestures.takeOver(edit.annotation, edit.items.map((item) => item.id));
      edit.times.applied = performance.now();
      diagnostics.applied += 1;
      diagnostics.last = {edited: [...edit.edited], times: edit.times};
    }

    /** Whether no newer edit, undo, or change of task has come between. */
    function fits({number, annotation, edited, places}) {
      if (number !== latest || !labelStudio.isSelected(annotation)) return false;
      const now = placesOf(annotation);
      return [...edited].every((id) => !places.has(id) || samePlace(places.get(id), now.get(id)));
    }

    /** Deliver the answer that waited for the mouse. */
    function deliverWaiting() {
      const edit = waiting;
      waiting = null;
      if (edit) deliver(edit);
    }

    function apply(edit) {
      const {annotation, items, places, edited, childless, step} = edit;
      const regions = new Map(annotation.regions.map((region) => [region.cleanId, region]));
      const fresh = items.filter((item) => !regions.has(item.id) && childless.has(labelStudio.cleanId(item.parentID)));
      const known = items.filter((item) => item.type !== "choices" && regions.has(item.id));
      const replace = labelStudio.isLatestStep(annotation, step);
      labelStudio.asOneStep(
        annotation,
        () => {
          for (const item of known) {
            const region = regions.get(item.id);
            const hasMoved = !samePlace(places.get(item.id), labelStudio.place(region));
            if (!edited.has(item.id) && !hasMoved && !samePlaceAs(region, item)) labelStudio.moveTo(region, item.value);
            labelStudio.setScore(region, item.score);
          }
          adopt(known, regions);
          if (fresh.length) annotation.deserializeResults(fresh);
          labelStudio.sendBoxesToBack(annotation);
        },
        {replace},
      );
    }

    function samePlaceAs(region, {value}) {
      const numbers = [value.x, value.y, value.width, value.height, value.rotation ?? 0];
      return samePlace(labelStudio.place(region), labelStudio.isBox(region) ? numbers : numbers.slice(0, 2));
    }

    /** A keypoint that was placed by hand joins the person that the backend gave it to. */
    function adopt(items, regions) {
      const boxes = items.map((item) => regions.get(item.id)).filter(labelStudio.isBox);
      if (boxes.length !== 1) return;
      for (const item of items) {
        const region = regions.get(item.id);
        if (labelStudio.isKeypoint(region) && !labelStudio.parentId(region)) region.setParentID(boxes[0].id);
      }
    }

    return {changed, deliverWaiting, placesOf, request};
  })();

  // --------------------------------------------------------------------------------------------------- gestures ----
  /** Sees what a press of the mouse changed, and makes one step of history of it. Never stops an event. */
  const gestures = (() => {
    let open = null;
    const late = new Set(); // gestures that have changed nothing yet, and may do so within LATE_MS

    function begin(event) {
      if (open) settle(open);
      const view = labelStudio.view();
      if (!view || !view.stage.content.contains(event.target) || !labelStudio.isEditable(view.annotation)) return;
      open = {annotation: view.annotation, before: refinement.placesOf(view.annotation)};
      view.annotation.history.freeze(HISTORY_KEY); // a drag and the change of origin after it become one step
    }

    function end() {
      const gesture = open;
      if (!gesture) return;
      const startedAt = performance.now();
      setTimeout(() => settle(gesture, startedAt), 0); // after Label Studio's own handlers
    }

    function settle(gesture, startedAt = performance.now()) {
      if (open !== gesture) return;
      open = null;
      gesture.annotation.history.unfreeze(HISTORY_KEY);
      if (report(gesture, startedAt)) return;
      late.add(gesture);
      setTimeout(() => {
        late.delete(gesture);
        report(gesture, startedAt);
      }, LATE_MS);
      refinement.deliverWaiting();
    }

    /** Take what an answer has just moved or drawn as given, lest it passes for the annotator's own edit. */
    function takeOver(annotation, ids) {
      const places = refinement.placesOf(annotation);
      for (const gesture of late) {
        if (gesture.annotation !== annotation) continue;
        ids.filter((id) => places.has(id)).forEach((id) => gesture.before.set(id, places.get(id)));
      }
    }

    /** Ask for a refinement if something has changed. */
    function report({annotation, before}, startedAt) {
      if (open || !labelStudio.isSelected(annotation)) return false;
      const edited = refinement.changed(before, refinement.placesOf(annotation));
      const regions = new Map(annotation.regions.map((region) => [region.cleanId, region]));
      // a dynamic region belongs to Label Studio's own auto-annotation, which asks by itself
      const ours = edited.filter((id) => !regions.get(id).dynamic && !regions.get(id).isDrawing);
      if (ours.length) refinement.request(annotation, ours, startedAt);
      return ours.length > 0;
    }

    function listen() {
      window.addEventListener("pointerdown", begin, true);
      window.addEventListener("pointerup", end, true);
      window.addEventListener("pointercancel", end, true);
      window.addEventListener("blur", end);
    }

    return {isOpen: () => open !== null, listen, takeOver};
  })();

  // ---------------------------------------------------------------------------------------------------- overlay ----
  /** Draws bones and rings on a canvas of its own above Label Studio's, which takes no mouse events. */
  const overlay = (() => {
    const STOPS = [[224, 48, 30], [255, 182, 46], [96, 205, 216], [38, 120, 226]]; // doubtful to sure, for all eyes
    const DOUBTFUL = 0.3; // predicted OKS that gets the first colour
    const SURE = 0.95; // and the last
    const OUTLINE = "rgba(20, 24, 32, 0.55)";
    let canvas = null;
    let drawn = [];
    let isOn = true;

    function color(score) {
      const t = Math.min(Math.max((score - DOUBTFUL) / (SURE - DOUBTFUL), 0), 1) * (STOPS.length - 1);
      const i = Math.min(Math.floor(t), STOPS.length - 2);
      return `rgb(${STOPS[i].map((from, c) => Math.round(from + (t - i) * (STOPS[i + 1][c] - from))).join()})`;
    }

    /** What to draw: bones and rings in canvas pixels, as plain numbers that can be compared. */
    function scene({annotation, stage}) {
      const transform = stage.getAbsoluteTransform();
      const bones = [];
      const rings = [];
      if (!isOn) return {bones, rings};
      for (const person of personsOf(annotation).values()) {
        const points = new Map();
        for (const [joint, region] of person.keypoints) {
          if (!region.hidden) points.set(joint, describe(region, transform));
        }
        const width = lineWidth([...points.values()]);
        for (const [a, b] of skeleton.bones) {
          if (points.has(a) && points.has(b)) bones.push([points.get(a), points.get(b), width]);
        }
        rings.push(...[...points.values()].filter((point) => point.touched));
      }
      return {bones, rings};
    }

    function describe(region, transform) {
      const {x, y} = labelStudio.stagePoint(region, transform);
      const touched = labelStudio.isTouched(region);
      const score = touched ? 1 : (labelStudio.score(region) ?? 0.5);
      return {x, y, radius: Math.max(region.canvasWidth, 2), score, touched, occluded: labelStudio.isOccluded(region)};
    }

    /** Bones grow with the person on the screen. */
    function lineWidth(points) {
      if (!points.length) return 0;
      const xs = points.map((p) => p.x);
      const ys = points.map((p) => p.y);
      const size = Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys));
      return Math.min(Math.max(size * 0.01, 2), 5);
    }

    function flatten({bones, rings}, ratio, width, height) {
      const flat = [ratio, width, height, bones.length, rings.length];
      const add = (p) => flat.push(p.x, p.y, p.radius, p.score, p.touched ? 1 : 0, p.occluded ? 1 : 0);
      bones.forEach(([a, b, w]) => (add(a), add(b), flat.push(w)));
      rings.forEach(add);
      return flat;
    }

    /** Draw what has changed since the last frame. */
    function draw(view) {
      const [width, height] = [view.stage.width(), view.stage.height()];
      const ratio = window.devicePixelRatio || 1;
      const isNew = attach(view.stage);
      const next = scene(view);
      const flat = flatten(next, ratio, width, height);
      if (!isNew && flat.length === drawn.length && flat.every((number, i) => number === drawn[i])) return;
      drawn = flat;
      if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
      if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
      Object.assign(canvas.style, {width: `${width}px`, height: `${height}px`});
      const context = canvas.getContext("2d");
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, height);
      next.bones.forEach((bone) => drawBone(context, ...bone));
      next.rings.forEach((ring) => drawRing(context, ring));
      diagnostics.redraws += 1;
      diagnostics.bones = next.bones.length;
    }

    /** Put the canvas on the stage; return whether it was not there. */
    function attach(stage) {
      if (canvas?.parentNode === stage.content) return false;
      canvas?.remove();
      canvas = document.createElement("canvas");
      canvas.className = "clickpose-overlay";
      Object.assign(canvas.style, {position: "absolute", left: 0, top: 0, pointerEvents: "none"});
      stage.content.append(canvas);
      return true;
    }

    function drawBone(context, a, b, width) {
      const length = Math.hypot(b.x - a.x, b.y - a.y);
      const gap = [a.radius + 1, b.radius + 1];
      if (length <= gap[0] + gap[1]) return;
      const along = (distance) => [a.x + ((b.x - a.x) * distance) / length, a.y + ((b.y - a.y) * distance) / length];
      const [from, to] = [along(gap[0]), along(length - gap[1])];
      const gradient = context.createLinearGradient(...from, ...to);
      gradient.addColorStop(0, color(a.score));
      gradient.addColorStop(1, color(b.score));
      context.lineCap = "round";
      context.setLineDash(a.occluded || b.occluded ? [width * 1.2, width * 2.6] : []);
      for (const [style, lineWidth] of [[OUTLINE, width + 2], [gradient, width]]) {
        context.strokeStyle = style;
        context.lineWidth = lineWidth;
        context.beginPath();
        context.moveTo(...from);
        context.lineTo(...to);
        context.stroke();
      }
      context.setLineDash([]);
    }

    function drawRing(context, {x, y, radius}) {
      for (const [style, lineWidth] of [[OUTLINE, 3.5], ["#fff", 1.75]]) {
        context.strokeStyle = style;
        context.lineWidth = lineWidth;
        context.beginPath();
        context.arc(x, y, radius + 3, 0, 2 * Math.PI);
        context.stroke();
      }
    }

    function clear() {
      canvas?.remove();
      canvas = null;
      drawn = [];
    }

    return {clear, draw, isOn: () => isOn, toggle: () => (isOn = !isOn)};
  })();

  // ------------------------------------------------------------------------------------------------------- keys ----
  /** Shift with a letter: Label Studio gives plain letters and digits to labels. */
  const keys = (() => {
    const REACH_PX = 14; // how far from a keypoint the mouse may be to mean it
    let mouse = {x: -1, y: -1};

    function mouseOn(stage) {
      const box = stage.content.getBoundingClientRect();
      return {x: mouse.x - box.left, y: mouse.y - box.top};
    }

    /** The keypoint under the mouse, else the selected one, else null. */
    function targetKeypoint({annotation, stage}, reach = REACH_PX) {
      const {x, y} = mouseOn(stage);
      const transform = stage.getAbsoluteTransform();
      let best = null;
      for (const region of annotation.regions.filter(labelStudio.isKeypoint)) {
        const point = labelStudio.stagePoint(region, transform);
        const distance = Math.hypot(point.x - x, point.y - y) - region.canvasWidth;
        if (distance < reach && !(best?.distance <= distance)) best = {region, distance};
      }
      const selected = annotation.selectedRegions.find(labelStudio.isKeypoint);
      return best?.region ?? selected ?? null;
    }

    /** The person of that keypoint or of the selected box, else the smallest box under the mouse. */
    function targetPerson(view) {
      const persons = personsOf(view.annotation);
      const keypoint = targetKeypoint(view);
      if (keypoint) return persons.get(labelStudio.parentId(keypoint)) ?? null;
      const {x, y} = mouseOn(view.stage);
      const at = view.stage.getAbsoluteTransform().copy().invert().point({x, y});
      const [left, top] = [view.image.canvasToInternalX(at.x), view.image.canvasToInternalY(at.y)];
      const isUnder = ({box}) =>
        box && left >= box.x && top >= box.y && left <= box.x + box.width && top <= box.y + box.height;
      const under = [...persons.values()].filter(isUnder);
      under.sort((a, b) => a.box.width * a.box.height - b.box.width * b.box.height);
      const selected = view.annotation.selectedRegions.find(labelStudio.isBox);
      return under[0] ?? persons.get(selected?.cleanId) ?? null;
    }

    function toggleVisibility(view) {
      const region = targetKeypoint(view);
      if (region) labelStudio.asOneStep(view.annotation, () => labelStudio.toggleOccluded(region));
    }

    /** Count all regions of a person as checked by a human. */
    function acceptPerson(view) {
      const person = targetPerson(view);
      if (!person) return;
      const regions = [person.box, ...person.keypoints.values()].filter(Boolean);
      labelStudio.asOneStep(view.annotation, () => regions.forEach((region) => region.updateOriginOnEdit()));
    }

    const ACTIONS = {KeyB: () => overlay.toggle(), KeyV: toggleVisibility, KeyA: acceptPerson};

    function press(event) {
      const action = ACTIONS[event.code];
      const isPlainShift = event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
      const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
      const view = labelStudio.view();
      if (!action || !isPlainShift || isTyping || !view) return;
      if (action !== ACTIONS.KeyB && !labelStudio.isEditable(view.annotation)) return;
      event.preventDefault();
      action(view);
    }

    function listen() {
      window.addEventListener("keydown", press, true);
      window.addEventListener("pointermove", (event) => (mouse = {x: event.clientX, y: event.clientY}), {
        capture: true,
        passive: true,
      });
    }

    return {listen};
  })();

  // ------------------------------------------------------------------------------------------------------- main ----
  /** Follow Label Studio's pages, which come and go without a reload. */
  const main = (() => {
    const IDLE_MS = 300;
    let frames = 0;
    let shownFor = null; // project whose state the chip shows

    function frame() {
      const view = labelStudio.view();
      if (!view) {
        leave();
        setTimeout(frame, IDLE_MS);
        return;
      }
      enter();
      overlay.draw(view);
      if (frames++ % 30 === 0) chip.place();
      requestAnimationFrame(frame);
    }

    async function enter() {
      const project = labelStudio.projectId();
      if (shownFor === project) return;
      shownFor = project;
      try {
        const id = await backend.id();
        if (id !== null) chip.show("ready");
      } catch (error) {
        chip.show("offline", String(error.message));
      }
    }

    function leave() {
      if (shownFor === null) return;
      shownFor = null;
      overlay.clear();
      chip.hide();
    }

    function refuse(version) {
      const text = `The Click-Pose bridge is tested with Label Studio ${CONFIG.testedVersions.join(", ")}; this is ${version}. `
        + "It stays off; Label Studio's own smart click works.";
      console.warn(text);
      chip.show("untested", text);
    }

    function start() {
      const version = labelStudio.version();
      if (version === null) return; // a page without the application, such as the login
      if (!CONFIG.testedVersions.includes(version)) {
        refuse(version);
        return;
      }
      gestures.listen();
      keys.listen();
      frame();
    }

    return {start};
  })();

  window.__clickposeBridge = {diagnostics, status: chip.state, bonesShown: overlay.isOn};
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", main.start, {once: true});
  else main.start();
})();
