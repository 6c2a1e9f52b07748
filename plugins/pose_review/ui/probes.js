/**
 * What the canvas uses of the app, and what is off where a version lacks it: each thing is looked for, no version is
 * pinned. What was tried stands in plugins/README.md.
 */
import {operators, plugins, recoil, state} from "./app.js";

const features = {
  asking: {
    isThere: () => operators?.useTriggerPanelEvent,
    off: "Pose refine is off: this version of FiftyOne has no events of panels.",
  },
  following: {
    isThere: () => operators?.useGlobalExecutionContext && recoil?.useRecoilValueLoadable && state?.currentSampleId,
    off: "This version of FiftyOne does not tell which photo is open: go on with Next.",
  },
  showing: {
    isThere: () => state?.useRefreshSample,
    off: "This version of FiftyOne shows what was saved when it has reloaded the samples.",
  },
  requests: {
    isThere: () => operators?.Operator && operators.OperatorConfig && operators.registerOperator && plugins,
    off: "In this version of FiftyOne other panels cannot open a person here.",
  },
};

/** Whether the app has all that a feature needs. */
export const can = (name) => Boolean(features[name].isThere());

/** What is off in this version, a sentence each. */
export const missing = () => Object.keys(features).filter((name) => !can(name)).map((name) => features[name].off);
