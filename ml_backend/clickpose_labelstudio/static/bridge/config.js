/** What the page must know; whoever delivers the script writes it in front (see launch/bridge_script.py). */
export const config = {
  joints: [],
  bones: [],
  triedVersions: [], // of Label Studio, with which all browser tests pass
  timeoutMs: 10000, // after which an answer is no longer waited for
  submitWaitMs: 3000, // that Submit waits for an answer
  instant: true, // edits are answered in the browser, where it and the network can do that
  retryMs: 10000, // between looks for a backend that was away
  ...window.__clickposeConfig,
};

/** What tests and the curious can read: `__clickposeBridge.diagnostics`. */
export const diagnostics = {
  requests: 0,
  applied: 0,
  dropped: 0,
  redraws: 0,
  bones: 0,
  last: null,
  faults: [],
  // of what is answered in the browser; `delays`: ms from a move of the mouse to the others having followed
  instant: {people: 0, answers: 0, previews: 0, delays: [], trouble: null},
};
