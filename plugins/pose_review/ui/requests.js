/**
 * A person that another panel of this browser wants to be corrected. It comes by an operator that runs in the browser
 * which asked: what the app shares among browsers, such as selected labels and the state of panels, would move them all.
 */
import {operators} from "./app.js";

export const PLUGIN = "@clickpose/pose_review";
const VALID_MS = 60_000; // until the panel has opened
const listeners = new Set();
let waiting = null; // {person, at}

/** Let the app know the operator. */
export function register() {
  class RefinePerson extends operators.Operator {
    get config() {
      return new operators.OperatorConfig({name: "refine_person", label: "Refine a person", unlisted: true});
    }

    async execute({params}) {
      waiting = {person: params, at: Date.now()};
      listeners.forEach((listener) => listener());
    }
  }
  operators.registerOperator(RefinePerson, PLUGIN);
}

/** Be told of requests until the returned function is called. */
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The person that is wanted, {field, sample_id, label_id}, once; null for nobody. */
export function take() {
  const request = waiting;
  waiting = null;
  return request && Date.now() - request.at < VALID_MS ? request.person : null;
}
