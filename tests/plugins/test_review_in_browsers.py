"""Two reviewers at one app, each in a browser of their own, on the demo's photos. Screenshots are kept."""

import fiftyone as fo
import pytest

from clickpose_fiftyone.demo import REVIEW_WORKSPACE, WORST_PEOPLE, WORST_PHOTOS, keep_start
from clickpose_fiftyone.queue_filters import stored_filter
from clickpose_fiftyone.review_log import actions_of
from helpers.fiftyone_app import ARTIFACTS, PATIENCE_MS, WITHOUT_ADVERTISEMENT, press

pytestmark = pytest.mark.browser
SETTLED = "people settled"


@pytest.fixture
def dataset(dataset):
    """With the views and panels that a review starts with."""
    keep_start(dataset)
    return dataset


def review(browser, app, dataset, name):
    """The start of the review, as the command prints its address, in a browser of somebody's own."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(PATIENCE_MS)
    kept = "localStorage.getItem('clickpose-reviewer')"
    page.add_init_script(f"{WITHOUT_ADVERTISEMENT}; {kept} || localStorage.setItem('clickpose-reviewer', '{name}')")
    page.goto(f"{app}/datasets/{dataset.name}?workspace={REVIEW_WORKSPACE}&view={WORST_PHOTOS}",
              wait_until="domcontentloaded")  # fmt: skip
    page.get_by_text(SETTLED).wait_for()
    return page


def wait_until(page, holds):
    """Wait for what a browser asked for and nothing on the page tells."""
    for _ in range(PATIENCE_MS // 100):
        if holds():
            return
        page.wait_for_timeout(100)
    pytest.fail("It did not happen")


def test_two_reviewers_share_the_queue_of_one_app(browser, app, dataset):
    anna = review(browser, app, dataset, "Anna")
    anna.locator("[data-cy=looker]").first.wait_for()  # the photos beside the queue
    anna.locator("[data-cy=pose-legend]").wait_for()
    ben = review(browser, app, dataset, "Ben")
    ben.get_by_text("Anna has 8 in hand").wait_for()
    anna.screenshot(path=ARTIFACTS / "start.png")

    press(anna, "a")
    anna.get_by_text(f"1 of 10 {SETTLED}").wait_for()
    press(anna, "x")
    anna.get_by_text(f"2 of 10 {SETTLED}").wait_for()
    press(ben, "a")
    ben.get_by_text(f"3 of 10 {SETTLED}").wait_for()
    ben.get_by_text("Anna 2").wait_for()
    done = [(action.what, action.by) for action in actions_of(dataset)]
    assert done == [("accepted", "Ben"), ("rejected", "Anna"), ("accepted", "Anna")]

    ben.get_by_text("person by person").first.click()
    ben.locator("[role=listbox] [data-value=photo]").click()
    wait_until(ben, lambda: stored_filter(dataset, "Ben").order == "photo")
    assert stored_filter(dataset, "Anna").order == "person"
    ben.reload()  # the name and the filters are kept
    ben.get_by_text("photo by photo").first.wait_for()
    assert ben.locator("[data-cy=pose-reviewer] input").input_value() == "Ben"

    ben.get_by_text("rejected 1 person, Anna").first.scroll_into_view_if_needed()
    ben.screenshot(path=ARTIFACTS / "history.png")
    ben.get_by_role("button", name="Undo").nth(1).click()  # the newest is his own
    ben.get_by_text("Taken back: rejected 1 person, Anna").first.wait_for()
    wait_until(ben, lambda: ben.get_by_role("button", name="Undo").count() == 2)  # none of what is taken back already
    tags = fo.load_dataset(dataset.name).count_label_tags("pred")
    assert tags["accepted"] == 2 and "rejected" not in tags

    anna.goto(f"{app}/datasets/{dataset.name}?workspace={REVIEW_WORKSPACE}&view={WORST_PEOPLE}")
    anna.locator("[data-cy=looker]").nth(7).wait_for()
    press(anna, "g")  # the photos again, from people that were cut out of them
    anna.locator("[data-cy=sidebar-entry-draggable-pred_boxes]").wait_for()
    above, below = (anna.locator(f"[data-cy=sidebar-entry-draggable-{field}]") for field in ("pred_joints", "pred"))
    assert above.bounding_box()["y"] < below.bounding_box()["y"]  # what stands above is drawn on top
    anna.screenshot(path=ARTIFACTS / "after-worst-first.png")
