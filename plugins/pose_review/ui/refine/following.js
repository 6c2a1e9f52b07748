/** Has a canvas show what its browser opens, selects or asks for. */
import {React, operators, recoil, state} from "../app.js";
import * as requests from "../requests.js";
import {isCovered} from "../pressed.js";
import {can} from "../probes.js";

// The app shares among browsers which photo is open and what is selected: what changes this soon after a press is of ours.
const OWN_MS = 3000;
let pressedAt = 0;
for (const type of ["pointerdown", "keydown"]) window.addEventListener(type, () => (pressedAt = Date.now()), true);

const idsOf = (selected) => (selected instanceof Map ? [...selected.keys()] : [...(selected ?? [])]);

/** Follow; `root`: reference of the panel's element. */
export function useFollowing(session, board, root) {
  const {sampleId, datasetName, selectedSamples, selectedLabels} = can("following") ? useShown() : {};
  const selected = idsOf(selectedSamples);
  const isBeneath = () => !root.current || isCovered(root.current);
  const shownFor = React.useRef(null); // what the app calls the sample that is shown
  const field = () => session.photo?.field;

  useChange(() => {
    session.forget();
    open(session, requests.take() ?? (sampleId ? {sample_id: sampleId} : {}));
    shownFor.current = sampleId;
  }, [datasetName], true);

  useChange(() => {
    if (isBeneath() || sampleId === shownFor.current) return;
    shownFor.current = sampleId;
    if (sampleId && sampleId !== session.photo?.sample_id && isOwn()) open(session, {sample_id: sampleId, field: field()});
    else if (!sampleId) again(session); // closed: it may have been corrected there
  }, [sampleId]);

  useChange(() => {
    const [only] = selected;
    if (!isBeneath() && selected.length === 1 && only !== session.photo?.sample_id && isOwn()) open(session, {sample_id: only, field: field()});
  }, [selected.join()]);

  useChange(() => {
    if (!isBeneath() && selectedLabels?.length && isOwn()) choose(session, board);
  }, [JSON.stringify((selectedLabels ?? []).map(({labelId, label_id: id}) => labelId ?? id))]);

  React.useEffect(() => requests.listen(() => {
    if (isBeneath()) return;
    const person = requests.take();
    if (person) open(session, person).then(() => board.bringIntoView());
  }), []);

  React.useEffect(() => {
    const look = () => document.visibilityState === "visible" && !isBeneath() && again(session);
    const enter = () => session.photo?.is_annotatable && look(); // it may have been corrected in the Annotate tab
    const {current} = root;
    window.addEventListener("focus", look);
    current.addEventListener("pointerenter", enter);
    return () => {
      window.removeEventListener("focus", look);
      current.removeEventListener("pointerenter", enter);
    };
  }, []);
}

/** What the app shows: the open photo, the dataset, what is selected. */
function useShown() {
  const opened = recoil.useRecoilValueLoadable(state.currentSampleId);
  const {datasetName, selectedSamples, selectedLabels} = operators.useGlobalExecutionContext();
  return {sampleId: opened.state === "hasValue" ? opened.contents : null, datasetName, selectedSamples, selectedLabels};
}

const isOwn = () => Date.now() - pressedAt < OWN_MS;

/** An effect of changes, and of the first time only where that is asked for. */
function useChange(effect, values, isFirstToo = false) {
  const isFirst = React.useRef(true);
  React.useEffect(() => {
    if (!isFirst.current || isFirstToo) effect();
    isFirst.current = false;
  }, values);
}

async function open(session, wanted) {
  if (wanted.label_id && wanted.sample_id === session.photo?.sample_id && wanted.field === session.photo?.field) {
    if (session.person(wanted.label_id)) session.choose(wanted.label_id);
  }
  await session.go("open", wanted);
  if (wanted.label_id && session.person(wanted.label_id)) session.choose(wanted.label_id, session.joint);
}

/** See what others have done to the photo. */
function again(session) {
  const {photo, chosen} = session;
  if (photo && !session.busy) session.go("open", {field: photo.field, sample_id: photo.sample_id, label_id: chosen});
}

async function choose(session, board) {
  const {field, sample_id: sampleId, label_id: id, joint} = await session.ask("choose");
  if (!id) return;
  const {photo} = session;
  if (photo?.sample_id !== sampleId || photo.field !== field) await open(session, {field, sample_id: sampleId, label_id: id});
  if (!session.person(id)) return;
  const index = joint ? session.photo.joints.indexOf(joint) : -1;
  session.choose(id, index < 0 ? null : index);
  board.bringIntoView();
}
