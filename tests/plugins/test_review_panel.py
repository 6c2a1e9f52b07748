"""The Review panel of several reviewers: filters, lists, history, bulk with a count before, as the app calls them."""

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone.operators.executor import ExecutionContext, Executor
from PIL import Image

from clickpose_fiftyone.claims import give_back, held_by_others
from clickpose_fiftyone.install import install_plugin
from clickpose_fiftyone.queue_filters import QueueFilter, error_choices, stored_filter
from clickpose_fiftyone.review import review_queue
from clickpose_fiftyone.review_log import actions_of
from clickpose_fiftyone.settling import settle
from helpers.panels import PLUGIN, Answer, bound_keys, panel

ANNA, BEN = {"reviewer": "Anna"}, {"reviewer": "Ben"}


@pytest.fixture(scope="module", autouse=True)
def installed(fiftyone_home):
    install_plugin(fiftyone_home / "plugins")


@pytest.fixture
def dataset(person_dataset, tmp_path):
    dataset = person_dataset((2, 3, 1) * 4, noise=5.0)
    paths = [str(tmp_path / f"{index}.jpg") for index in range(len(dataset))]
    for path in paths:
        Image.fromarray(np.full((480, 640, 3), 90, np.uint8)).save(path)
    dataset.set_values("filepath", paths)
    return dataset


def drawn(dataset, state, method="on_load", **params):
    """What the panel shows after an event, by name."""
    answer = panel(dataset, "review_panel", method, state, **params)
    return answer.of("show_panel_output")[-1]["output"]["type"]["properties"]


def cards(dataset, state):
    """The label ids of the cards, in order."""
    shown = drawn(dataset, state)["cards"]["type"]["properties"]
    buttons = [shown[name]["type"]["properties"]["buttons"]["type"]["properties"] for name in shown]
    return [next(iter(own.values()))["view"]["params"]["label_ids"][0] for own in buttons]


def choose(dataset, state, name, value):
    """Choose from a list of the filters, as the app tells it."""
    row = drawn(dataset, state)["filters"]["type"]["properties"]
    path = next(path for path in row if path.startswith(f"{name}_"))
    return panel(dataset, "review_panel", f"on_{name}", state, value=value, path=f"filters.{path}")


def test_two_reviewers_are_dealt_different_people_and_see_each_other(dataset):
    first, second = cards(dataset, ANNA), cards(dataset, BEN)
    assert len(first) == len(second) == 8 and not set(first) & set(second)
    assert cards(dataset, ANNA) == first and "Ben has 8 in hand" in drawn(dataset, ANNA)["heading"]["default"]
    panel(dataset, "review_panel", "on_accept", ANNA, label_ids=first)
    heading = drawn(dataset, BEN)["heading"]["default"]
    assert "8 of 24 people settled" in heading and "Anna 8" in heading
    assert not set(cards(dataset, ANNA)) & set(second)
    panel(dataset, "review_panel", "on_accept", BEN, label_ids=[*second[:1], *first[:1]])
    said = panel(dataset, "review_panel", "on_accept", BEN, label_ids=first[:1]).notices
    assert said and said[0].startswith("Nobody was changed. 1 person had been settled already (Anna, ")
    assert not cards(dataset, {"reviewer": "Cem"})  # Anna and Ben have all who wait
    assert "in others' hands" in drawn(dataset, {"reviewer": "Cem"})["empty"]["default"]


def test_a_browser_tells_who_sits_at_it(dataset):
    shown = drawn(dataset, {}, reviewer=None)  # by an event of the app
    told = shown["reviewer"]["view"]
    assert told["component"] == "PoseReviewer" and told["name"] == "" and told["fallback"]
    assert set(shown) == {"reviewer"}  # nothing could be pressed in a right name
    assert not held_by_others(dataset, "pred", None)
    assert drawn(dataset, {}, "on_reviewer", reviewer=" Anna ")["reviewer"]["view"]["name"] == "Anna"
    assert set(held_by_others(dataset, "pred", None).values()) == {"Anna"}


def test_who_types_a_name_gives_back_whom_the_machines_name_had_in_hand(dataset):
    worst = cards(dataset, {"reviewer": "root"})
    drawn(dataset, {}, "on_reviewer", reviewer="Anna", before="root")
    assert cards(dataset, ANNA) == worst
    assert set(held_by_others(dataset, "pred", None).values()) == {"Anna"}
    # the app echoes a list that was drawn for somebody who sat there before: nobody is held for them
    path = next(iter(drawn(dataset, {"reviewer": "root"})["filters"]["type"]["properties"]))
    give_back(dataset, "pred", "root")
    drawn(dataset, {}, "on_state", reviewer=None, value="waiting", path=f"filters.{path}")
    assert set(held_by_others(dataset, "pred", None).values()) == {"Anna"}


def test_the_current_card_and_the_field_are_each_reviewers_own(dataset):
    dataset.clone_sample_field("pred", "other")
    dataset.skeletons["other"] = dataset.skeletons["pred"]
    dataset.save()
    field = next(name for name in drawn(dataset, ANNA) if name.startswith("pred_field_"))
    assert panel(dataset, "review_panel", "on_field", ANNA, value="pred", path=field).state.keys() <= {
        "problem"
    }  # an echo
    chosen = panel(dataset, "review_panel", "on_field", ANNA, value="other", path=field).state
    moved = panel(dataset, "review_panel", "on_step", ANNA, current=0, by=3, count=8).state
    shared = {**chosen, **moved}  # browsers share it

    def seen(by):
        shown = drawn(dataset, {**shared, **by})
        (name,) = (name for name in shown if name.startswith("pred_field_"))
        frames = [card["view"]["componentsProps"]["grid"]["sx"]["borderTop"]
                  for card in shown["cards"]["type"]["properties"].values()]  # fmt: skip
        return shown[name]["default"], [number for number, frame in enumerate(frames) if "transparent" not in frame]

    assert seen(ANNA) == ("other", [3]) and seen(BEN) == ("pred", [0])


def test_where_nobody_has_an_error_nobody_is_called_settled(dataset):
    dataset.add_sample_field(
        "gt.keypoints.label_errors", fo.ListField, subfield=fo.StringField
    )  # looked for, none found
    choose(dataset, ANNA, "error", list(error_choices())[-1])
    shown = drawn(dataset, ANNA)
    assert "0 of 0" in shown["heading"]["default"] and shown["empty"]["default"] == "These filters show nobody."


def test_tooltips_are_told_what_is_too_long_for_them(dataset):
    told = drawn(dataset, ANNA)["legend"]["view"]["tooltips"]
    assert told["dataset"] == dataset.name and set(told["fields"]) == {"pred", "gt"}
    lists = {"keypoint_oks", "confidence", "visibility", "bounding_box", "refinement_history", "coco_extra"}
    assert lists <= set(told["attributes"]) and not {"pred_oks", "label", "joint_errors"} & set(told["attributes"])


def test_a_panel_without_predictions_notices_those_that_come(dataset):
    unpredicted = dataset.exclude_fields("pred").clone()
    shown = drawn(unpredicted, {})
    assert "No predicted poses yet" in shown["problem"]["view"]["label"]
    told = shown["reviewer"]["view"]  # tells when the app has read the dataset anew
    assert told["event"].endswith("on_reviewer")
    assert set(drawn(unpredicted, {}, "on_reviewer", reviewer="Anna")) == {"problem", "reviewer"}
    unpredicted.delete()
    assert "cards" in drawn(dataset, {"problem": "No predicted poses yet"}, "on_reviewer", reviewer="Anna")


def test_filters_are_kept_for_their_reviewer_over_panels_and_processes(dataset):
    choose(dataset, ANNA, "joint", "left_wrist")
    choose(dataset, ANNA, "order", "photo")
    assert stored_filter(fo.load_dataset(dataset.name), "Anna") == QueueFilter(order="photo", joint="left_wrist")
    wanted = review_queue(dataset, "pred", 8, QueueFilter(order="photo", joint="left_wrist"), "Anna")
    assert cards(dataset, dict(ANNA)) == [item.label_id for item in wanted.items]  # in a panel that is opened anew
    assert stored_filter(dataset, "Ben") == QueueFilter()
    lists = drawn(dataset, ANNA)["filters"]["type"]["properties"]
    assert [own["default"] for own in lists.values()] == ["waiting", "photo", "left_wrist", "any"]


def test_what_the_app_echoes_of_a_list_chooses_nothing(dataset):
    choose(dataset, ANNA, "joint", "left_wrist")
    own = b"Anna".hex()
    echoes = ("left_wrist", f"filters.joint_left_wrist_{own}"), ("any", f"filters.joint_any_{own}"), (None, "filters.x")
    for value, path in echoes:
        panel(dataset, "review_panel", "on_joint", ANNA, value=value, path=path)
        assert stored_filter(dataset, "Anna").joint == "left_wrist", path
    panel(dataset, "review_panel", "on_joint", ANNA, value="any", path=f"filters.joint_left_wrist_{own}")
    assert stored_filter(dataset, "Anna").joint is None


def test_an_event_is_of_the_browser_that_it_was_drawn_for(dataset):
    """The app hands the state of a panel on: here Ben's is in Anna's browser."""
    keys, first = bound_keys(dataset, "review_panel", ANNA), cards(dataset, ANNA)[0]
    event, params = keys["a"]
    answer = panel(dataset, "review_panel", event, BEN, **params)
    assert actions_of(dataset)[0].by == "Anna" and "reviewer" not in answer.state
    heading = answer.of("show_panel_output")[-1]["output"]["type"]["properties"]["heading"]["default"]
    assert "Anna 1" in heading and params["label_ids"] == [first]
    path = next(path for path in drawn(dataset, ANNA)["filters"]["type"]["properties"] if path.startswith("order_"))
    panel(dataset, "review_panel", "on_order", BEN, value="photo", path=f"filters.{path}")
    assert stored_filter(dataset, "Anna").order == "photo" and stored_filter(dataset, "Ben").order == "person"


def test_rejecting_deleting_and_the_lists(dataset):
    first, second, third, *_ = cards(dataset, ANNA)
    for event, label_id in (("on_reject", first), ("on_delete", second), ("on_accept", third)):
        panel(dataset, "review_panel", event, ANNA, label_ids=[label_id])
    dataset.reload()
    assert dataset.count("pred.keypoints") == 23 and dataset.count_label_tags("pred") == {"accepted": 1, "rejected": 1}
    assert [str(action).partition(",")[0] for action in actions_of(dataset)] == [
        "accepted 1 person", "deleted 1 person", "rejected 1 person"
    ]  # fmt: skip
    choose(dataset, ANNA, "state", "rejected")
    shown = drawn(dataset, ANNA)
    assert cards(dataset, ANNA) == [first] and "1 rejected (not a person)" in shown["heading"]["default"]
    text = shown["cards"]["type"]["properties"]["card0"]["type"]["properties"]["text"]["default"]
    assert "Anna, " in text
    panel(dataset, "review_panel", "on_reopen", ANNA, label_ids=[first])
    choose(dataset, ANNA, "state", "accepted")
    assert cards(dataset, ANNA) == [third]
    panel(dataset, "review_panel", "on_reject", ANNA, label_ids=[third])  # somebody looked again
    assert dataset.count_label_tags("pred") == {"rejected": 1}
    undo = [name for name in drawn(dataset, BEN) if name.startswith("action")]
    assert len(undo) == 5 + 1  # the last five actions, and the row of buttons
    for _ in range(5):
        event, params = bound_keys(dataset, "review_panel", ANNA)["u"]
        panel(dataset, "review_panel", event, ANNA, **params)
    dataset.reload()
    assert dataset.count("pred.keypoints") == 24 and dataset.count_label_tags("pred") == {}


def form(dataset, name, **params):
    """What an operator's form shows, by name."""
    uri = f"{PLUGIN}/{name}"
    context = ExecutionContext({"dataset_name": dataset.name, "params": params}, executor=Executor(), operator_uri=uri)
    return foo.get_operator(uri).resolve_input(context).type.properties


def test_many_are_settled_at_once_and_told_before(dataset):
    held = cards(dataset, BEN)
    asked = {"field": "pred", "reviewer": "Anna"}
    prompts = panel(dataset, "review_panel", "on_settle_all", ANNA).of("prompt_user_for_operation")
    assert prompts[0]["params"] == asked and prompts[0]["operator_uri"] == f"{PLUGIN}/settle_people"
    plan = form(dataset, "settle_people", **asked)["plan"].view.label
    assert plan.startswith("16 people in ") and "(waiting) will be accepted by Anna" in plan
    answer = Answer(dataset, "settle_people", {**asked, "what": "accepted"})
    assert answer.result["message"] == "Accepted 16 people."
    assert {item.label_id for item in review_queue(dataset, "pred", by="Ben").items} == set(
        held
    )  # whom Ben has in hand
    chosen = [{"label_id": held[0], "sample_id": sample.id, "field": "pred"} for sample in dataset
              if held[0] in {p.id for p in sample.pred.keypoints}]  # fmt: skip
    one = Answer(dataset, "settle_people", {**asked, "what": "deleted"}, selected_labels=chosen)
    assert one.result["message"].startswith("Deleted 1 person, anna")
    listed = form(dataset, "undo_review")
    assert [choice.label.partition(",")[0] for choice in listed["action"].view.choices] == [
        "deleted 1 person", "accepted 16 people"
    ]  # fmt: skip
    for action in actions_of(dataset):
        assert "Taken back" in Answer(dataset, "undo_review", {"action": action.id}).result["message"]
    dataset.reload()
    assert dataset.count_label_tags("pred") == {} and dataset.count("pred.keypoints") == 24
    settle(dataset, "pred", dataset.values("pred.keypoints.id", unwind=True), "accepted", "Ben")
    assert "your queue shows nobody" in form(dataset, "settle_people", **asked)["problem"].error_message
    assert "nothing was done" in form(dataset.clone(), "undo_review")["problem"].error_message


def test_the_queue_of_wrong_labels_accepts_and_opens_labelled_people(dataset):
    Answer(dataset, "find_label_errors", {"pred_field": "pred"})
    kinds = [kind for kind in ("missing_joint", "far_from_prediction", "duplicate", "chimera")
             if review_queue(dataset, "gt", 8, QueueFilter(error=f"labels:{kind}")).total]  # fmt: skip
    assert kinds, "the random people have some error"
    choose(dataset, ANNA, "error", f"labels:{kinds[0]}")
    first = cards(dataset, ANNA)[0]
    assert first in dataset.values("gt.keypoints.id", unwind=True)
    panel(dataset, "review_panel", "on_accept", ANNA, label_ids=[first])
    assert dataset.count_label_tags("gt")["accepted"] == 1 and first not in cards(dataset, ANNA)


def test_a_form_that_was_refused_offers_what_was_typed(dataset, tmp_path):
    typed = {"annotations": str(tmp_path / "nowhere.json"), "images": str(tmp_path), "field": "mine"}
    assert "error" in Answer(dataset, "import_coco", typed).result
    shown = form(dataset, "import_coco")
    assert {name: shown[name].default for name in typed} == typed
    secret = {"pred_field": "pred", "url": "http://127.0.0.1:1", "api_key": "secret", "anno_key": "no key"}
    assert "error" in Answer(dataset, "send_to_label_studio", secret).result
    shown = form(dataset, "send_to_label_studio")
    assert shown["anno_key"].default == "no key" and not shown["api_key"].default  # keys are kept nowhere
    assert form(dataset, "export_coco")["path"].default is None
    written = {"pred_field": "pred", "path": str(tmp_path / "out.json")}
    assert "error" in Answer(dataset, "export_coco", {**written, "path": str(tmp_path)}).result  # a folder
    assert form(dataset, "export_coco")["path"].default == str(tmp_path)
    assert "error" not in Answer(dataset, "export_coco", written).result
    assert form(dataset, "export_coco")["path"].default is None


def test_sending_tells_before_whom_it_sends(dataset):
    ids = dataset.values("pred.keypoints.id", unwind=True)
    settle(dataset, "pred", ids[:2], "sent_to_label_studio", "Ben")
    settle(dataset, "pred", ids[2:3], "rejected", "Ben")
    plan = form(dataset, "send_to_label_studio", pred_field="pred")["plan"].view.label
    assert plan == "23 people in 12 photos will be sent and leave the queue; 2 of them were sent before."
