/**
 * What Python panels cannot do. Plain ES modules for the app's own React: nothing has to be installed to build them, see
 * clickpose_fiftyone/ui_bundle.py. The app loads the one script that it is told of in fiftyone.yml, and not as a module.
 */
import {plugins} from "./app.js";
import {PoseKeys} from "./pose_keys.js";
import {PoseLegend} from "./pose_legend.js";
import {PoseProgress} from "./pose_progress.js";
import {PoseReviewer} from "./pose_reviewer.js";
import {can} from "./probes.js";
import {PoseRefine} from "./refine/pose_refine.js";
import * as requests from "./requests.js";
import * as shownSamples from "./shown_samples.js";

for (const [name, component] of Object.entries({PoseKeys, PoseLegend, PoseProgress, PoseRefine, PoseReviewer})) {
  plugins.registerComponent({
    name, label: name, component, type: plugins.PluginComponentType.Component, activator: () => true,
  });
}

if (can("requests")) [requests, shownSamples].forEach((operator) => operator.register());
