/** Shows samples as they are now, an open photo included: the app's own reloading leaves that one as it was. */
import {operators, state} from "./app.js";
import {can} from "./probes.js";
import {PLUGIN} from "./requests.js";

/** Let the app know the operator; it runs in the browser that asked. */
export function register() {
  class ShowSamples extends operators.Operator {
    get config() {
      return new operators.OperatorConfig({name: "show_samples", label: "Show samples as they are now", unlisted: true});
    }

    useHooks() {
      return {refresh: can("showing") ? state.useRefreshSample() : null};
    }

    async execute({hooks, params}) {
      if (hooks.refresh) params.samples.forEach((sample) => hooks.refresh(sample));
      else operators.executeOperator("reload_samples");
    }
  }
  operators.registerOperator(ShowSamples, PLUGIN);
}
