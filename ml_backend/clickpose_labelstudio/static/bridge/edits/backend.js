/** Finds the project's Click-Pose backend and asks it, through Label Studio, with the annotator's own session. */
import {config} from "../config.js";
import * as lsPage from "../label_studio/page.js";

const CONNECTED = "CO"; // how Label Studio writes that a backend has answered just now
const REFUSED = "ER"; // and that it answers, but refuses the project
const MISCONFIGURED = "422"; // status of the backend where the labelling configuration cannot serve poses
const HTTP_ERROR = /^(\d{3}) (?:Client|Server) Error: (.+) for url: \S+$/s; // how it passes a backend's answer on

const UNREACHED = /^HTTPS?ConnectionPool/; // how it says that the backend is away, at length

const ids = new Map(); // project id -> id of its backend

/** The backend has answered, with a sentence that says why it cannot help. */
export class Refusal extends Error {}

/** The labelling configuration of the project cannot serve poses, and the backend says why. */
export class Misconfigured extends Refusal {}

/** The backend of the project on the page as Label Studio lists it, its state freshly checked; null where is none. */
async function look(project) {
  const response = await fetch(`${lsPage.pathPrefix()}/api/ml/?project=${project}`, {credentials: "same-origin"});
  if (!response.ok) throw new Error(`Label Studio answered ${response.status}`);
  const isOurs = (b) => /click-?pose/i.test(b.title ?? "") || /^clickpose/i.test(b.model_version ?? "");
  const backend = (await response.json()).find((b) => b.is_interactive && isOurs(b)) ?? null;
  if (backend) ids.set(project, backend.id);
  else ids.delete(project);
  return backend;
}

/** Id of the backend of the project on the page, or null; looked up until there is one. */
async function id() {
  const project = lsPage.projectId();
  if (!project) return null;
  return ids.get(project) ?? (await look(project))?.id ?? null;
}

/** Tell whether the project has a backend; throws when it is away, and {@link Misconfigured} when it cannot help. */
export async function check() {
  const project = lsPage.projectId();
  const backend = project ? await look(project) : null;
  if (backend?.state === REFUSED && backend.error_message) throw errorOf(backend.error_message);
  if (backend && backend.state !== CONNECTED) throw new Error("The backend does not answer");
  return backend !== null;
}

/** Where the project's backend is asked, an absolute address; null where is none. */
export async function interactiveAddress() {
  const backendId = await id();
  const path = `${lsPage.pathPrefix()}/api/ml/${backendId}/interactive-annotating`;
  return backendId === null ? null : new URL(path, location.origin).href;
}

/**
 * What answers an edit, as {items, notes}: regions, and sentences for the annotator; null where is no backend.
 *
 * Throws a {@link Refusal} where the backend says why it cannot help, and other errors when it is slow or away.
 */
export async function refine(task, context) {
  const address = await interactiveAddress();
  if (address === null) return null;
  const response = await fetch(address, {
    method: "POST",
    credentials: "same-origin",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify({task, context}),
    signal: AbortSignal.timeout(config.timeoutMs),
  });
  if (response.status === 404) ids.clear(); // it has been removed, or connected anew under another number
  if (!response.ok) throw new Error(`Label Studio answered ${response.status}`);
  const answer = await response.json();
  if (answer.errors?.length) throw errorOf(String(answer.errors[0]));
  return {items: answer.data?.result ?? [], notes: answer.data?.notes ?? []};
}

/** What the backend has to say about the project's labels; nothing is edited. */
export async function notesOnLabels(task) {
  return (await refine(task, {result: [], edited: []}))?.notes ?? [];
}

function errorOf(text) {
  if (UNREACHED.test(text)) return new Error("Label Studio does not reach the backend");
  const [, status, sentence] = text.match(HTTP_ERROR) ?? [];
  if (status === MISCONFIGURED) return new Misconfigured(sentence);
  return status < 500 ? new Refusal(sentence) : new Error(sentence ?? text);
}
