"""Operators and panels of the plugin as the app calls them, without an app."""

import json

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators.executor import ExecutionContext, Executor

PLUGIN = "@clickpose/pose_review"


class Answer:
    """What an operator or a panel's event asked the app to do."""

    def __init__(self, dataset, name, params, view=None, **request_params):
        self.uri = f"{PLUGIN}/{name}"
        executor = Executor()
        request = {"dataset_name": dataset.name, "params": params, **request_params}
        if view is not None:
            request["view"] = view._serialize()
        context = ExecutionContext(request, executor=executor, operator_uri=self.uri)
        self.result = foo.get_operator(self.uri).execute(context)
        if hasattr(self.result, "__next__"):
            *_, self.result = self.result  # the last thing that a run yields is its answer
        self.requests = executor.to_json()["requests"]
        json.dumps(self.requests)  # it has to travel

    def of(self, kind):
        return [r["params"] for r in self.requests if (r.get("operator_uri") or r.get("invocation_uri")) == kind]

    @property
    def state(self):
        merged = {}
        for params in self.of("patch_panel_state"):
            merged.update(params["state"])
        return merged

    @property
    def notices(self):
        return [params["message"] for params in self.of("notify")]


def panel(dataset, panel_name, method="on_load", state=None, /, **params):
    if panel_name == "review_panel" and "path" not in params:  # what is drawn for a browser tells whose it is
        params.setdefault("reviewer", (state or {}).get("reviewer", "somebody"))
    event = {"panel_id": "p", "panel_state": dict(state or {}), "__method__": method, **params}
    return Answer(dataset, panel_name, event)


def in_the_app(dataset, view):
    """A view as the app hands it back."""
    return fo.DatasetView._build(dataset, json.loads(json.dumps(view)))


def figures(answer, name):
    """The last data of a plot."""
    return [params["data"][name] for params in answer.of("patch_panel_data") if name in params["data"]][-1]


def output_of(dataset, name):
    """What a panel shows, by name."""
    return panel(dataset, name).of("show_panel_output")[-1]["output"]["type"]["properties"]


def bound_keys(dataset, name, state):
    """The keys that a drawn panel listens to: key -> (event, its parameters)."""
    answer = panel(dataset, name, "on_load", state)
    drawn = next(params for params in reversed(answer.of("show_panel_output")))
    view = drawn["output"]["type"]["properties"]["keys"]["view"]
    assert view["component"] == "PoseKeys"
    return {
        key: (item["event"].rpartition("#")[2], item["params"]) for item in view["bindings"] for key in item["keys"]
    }
