"""Pose refine in the real app: a real drag, all people, keys, undo, the photo beside it, two browsers, other photos."""

from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from clickpose_fiftyone.corrections import Corrections, save_corrections
from clickpose_fiftyone.found_persons import find_person
from clickpose_fiftyone.refinement import refine_pose, refined_ids
from clickpose_fiftyone.review import review_queue
from clickpose_fiftyone.skeletons import set_skeleton
from helpers.fiftyone_app import (
    ARTIFACTS,
    PHOTOS,
    canvas,
    drag,
    drag_joint,
    joint_place,
    open_once,
    open_panel,
    show,
    wait_for_canvas,
    wait_for_photo,
)

pytestmark = pytest.mark.browser

BOARD = "[data-cy=refine-board]"
LOOKERS = """[...document.querySelectorAll('canvas')].filter((canvas) => !canvas.closest('.cpr'))
    .map((canvas) => canvas.toDataURL())"""
PEOPLE = "session.people.map(({id, joints}) => [id, joints])"
PICTURE = "[...document.querySelectorAll('[data-cy=refine-canvas]')].pop().toDataURL()"


@pytest.fixture
def page(browser, app, dataset):
    """The panel beside the grid, on a small screen, with the worst person chosen."""
    page = show(browser, app, dataset, 1366, 768)
    open_panel(page, "refine_panel")
    wait_for_photo(page)
    yield page
    page.context.close()


def box_of(page):
    return page.locator(BOARD).last.bounding_box()


def says(page):
    return page.locator("[data-cy=refine-says]").last.inner_text()


def at_rest(page):
    """Keys and buttons act on the panel, not on what the mouse happens to be over."""
    page.mouse.move(700, 20)
    wait_for_canvas(page, "!session.busy")


def press(page, key, condition):
    """Press a key and wait for what it does."""
    page.keyboard.press(key)
    wait_for_canvas(page, condition)


def test_a_joint_is_dragged_the_rest_follows_and_each_step_is_undone(page, dataset):
    board, before, zoom = box_of(page), dict(canvas(page, PEOPLE)), canvas(page, "board.view.scale")
    chosen, index = canvas(page, "session.chosen"), canvas(page, "session.photo.joints.indexOf('left_wrist')")
    drag_joint(page, "left_wrist", 40, -30)
    after = dict(canvas(page, PEOPLE))
    wanted = np.array(before[chosen][index][:2]) + np.array([40, -30]) / zoom
    np.testing.assert_allclose(after[chosen][index][:2], wanted, atol=1e-6)  # exactly where it was dropped
    assert after[chosen][index][2:] == [1, max(before[chosen][index][3], 0.5), True]
    followed = [a[:2] != b[:2] for a, b in zip(after[chosen], before[chosen], strict=True)]
    assert sum(followed) > 5 and "other joints followed" in says(page)
    assert all(after[other] == before[other] for other in before if other != chosen)
    assert box_of(page) == board  # the photo does not jump
    page.screenshot(path=ARTIFACTS / "refine-followed.png")
    at_rest(page)
    press(page, "b", "board.isCompared")
    page.screenshot(path=ARTIFACTS / "refine-before-and-after.png")
    press(page, "b", "!board.isCompared")
    assert not refined_ids(dataset)

    press(page, "z", "!session.past.length && session.future.length === 1")
    assert dict(canvas(page, PEOPLE)) == before
    press(page, "Control+Shift+Z", "session.past.length === 1")
    assert dict(canvas(page, PEOPLE)) == after
    pictures = page.evaluate(LOOKERS)
    press(page, "Enter", "!session.isDirty()")
    assert refined_ids(dataset) == [chosen] and box_of(page) == board
    page.wait_for_function(
        f"{LOOKERS}.join() !== '{','.join(pictures)}'"
    )  # the grid shows it, and nothing was reloaded
    saved = find_person(dataset, "pred", chosen).pose
    np.testing.assert_allclose(saved.keypoints[index], wanted, atol=1e-9)
    press(page, "z", "session.past.length === 1 && session.isDirty()")
    assert not refined_ids(dataset)  # the save is a step
    assert dict(canvas(page, PEOPLE)) == after
    press(page, "z", "!session.past.length && !session.isDirty()")
    assert dict(canvas(page, PEOPLE)) == before


def test_people_are_chosen_by_clicks_and_the_photo_is_zoomed_and_moved(page):
    first = canvas(page, "session.chosen")
    page.keyboard.press("w")
    other = canvas(page, "session.people.find(({id}) => id !== session.chosen).id")
    shoulder = joint_place(page, "left_shoulder", f"'{other}'")
    page.mouse.click(*shoulder)
    wait_for_canvas(page, f"session.chosen === '{other}' && session.joint === 5")
    opacities = canvas(page, "board.scene.map(({isChosen, opacity}) => [isChosen, opacity])")
    assert all((opacity == 1) == is_chosen for is_chosen, opacity in opacities)  # neighbours are dimmed
    assert canvas(page, "session.past.length") == 0  # nothing moved
    place = np.array(joint_place(page, "nose"))
    page.mouse.move(*place)
    page.mouse.wheel(0, -400)
    wait_for_canvas(page, "board.view.scale > 0.6")
    np.testing.assert_allclose(joint_place(page, "nose"), place, atol=0.5)  # it stays under the mouse
    for hold, button in ((False, "middle"), (True, "left")):
        place, board = np.array(joint_place(page, "nose")), box_of(page)
        page.mouse.move(*place)
        if hold:
            page.keyboard.down("Space")
        page.mouse.down(button=button)
        page.mouse.move(place[0] + 30, place[1] + 20, steps=3)
        page.mouse.up(button=button)
        if hold:
            page.keyboard.up("Space")
        np.testing.assert_allclose(np.subtract(joint_place(page, "nose"), place), [30, 20], atol=0.5)
        assert box_of(page) == board and canvas(page, "session.past.length") == 0
    at_rest(page)
    page.locator("[data-cy=refine-person]").select_option(first)
    wait_for_canvas(page, f"session.chosen === '{first}' && session.joint === null")


def test_every_correction_has_its_key_and_all_are_saved_and_taken_back_together(page, dataset):
    sample_id, chosen = canvas(page, "[session.photo.sample_id, session.chosen]")
    before = fo.load_dataset(dataset.name)[sample_id].pred.keypoints
    joints = {name: canvas(page, f"session.person().joints[session.photo.joints.indexOf('{name}')].slice(0, 2)")
              for name in ("left_wrist", "right_wrist", "left_hip", "right_hip")}  # fmt: skip
    at_rest(page)
    page.keyboard.press("Shift+X")
    assert "whole person" in says(page)
    joint = "session.person().joints[session.photo.joints.indexOf('{}')]".format
    assert canvas(page, joint("left_wrist"))[:2] == joints["right_wrist"]
    page.locator("[data-cy=refine-joint]").select_option(label="left hip")
    page.keyboard.press("Shift+P")
    assert canvas(page, joint("left_hip"))[:2] == joints["left_hip"]  # exchanged back, that pair alone
    page.keyboard.press("Shift+V")
    assert canvas(page, joint("left_hip"))[3] in (0.25, 1) and canvas(page, joint("left_hip"))[4] is True
    page.keyboard.press("Backspace")
    assert canvas(page, joint("left_hip")) is None
    page.locator("[data-cy=refine-joint]").select_option(label="left hip (not there)")
    board = box_of(page)
    page.mouse.click(board["x"] + 0.5 * board["width"], board["y"] + 0.5 * board["height"])
    wait_for_canvas(page, "session.past.at(-1).isAnswered")
    assert canvas(page, joint("left_hip"))[2:] == [1, 1, True]
    at_rest(page)
    doubtful = canvas(page, "Math.min(...session.people.flatMap(p => p.joints.filter(j => j && !j[4]).map(j => j[2])))")
    page.keyboard.press("Shift+N")
    assert canvas(page, "session.person().joints[session.joint][2]") == doubtful
    other = canvas(page, f"session.people.find((person) => ![session.chosen, '{chosen}'].includes(person.id)).id")
    page.locator("[data-cy=refine-person]").select_option(other)
    page.keyboard.press("Shift+Backspace")
    wait_for_canvas(page, f"!session.person('{other}')")
    press(page, "+", "board.mode === 'box'")
    page.keyboard.press("w")
    drag(page, (board["x"] + 30, board["y"] + 60), (board["x"] + 130, board["y"] + 250))
    wait_for_canvas(page, f"session.people.length === {len(before)} && !session.busy")
    assert canvas(page, "session.person().joints.filter(Boolean).length") == 17
    page.screenshot(path=ARTIFACTS / "refine-added.png")
    at_rest(page)
    steps = canvas(page, "session.past.length")
    press(page, "Enter", "!session.isDirty()")
    assert says(page) == "Saved: 1 person corrected, 1 person added, 1 person deleted; the originals are kept."
    dataset.reload()
    people = {person.id: person for person in fo.load_dataset(dataset.name)[sample_id].pred.keypoints}
    assert other not in people and len(people) == len(before)
    assert find_person(dataset, "pred", chosen).pose.keypoints[9].tolist() == pytest.approx(joints["right_wrist"])
    press(page, "z", f"session.past.length === {steps} && session.isDirty()")
    dataset.reload()
    back = dataset[sample_id].pred.keypoints
    assert [(p.id, p.points, p.tags) for p in back] == [(p.id, p.points, p.tags) for p in before]
    for left in range(steps - 1, -1, -1):
        press(page, "z", f"session.past.length === {left}")
    assert not canvas(page, "session.isDirty()")


def test_beside_the_open_photo_it_keeps_up_and_shows_what_was_saved(browser, app, dataset):
    page = show(browser, app, dataset, 1440, 900)
    page.locator("[data-cy=looker]").nth(2).click(position={"x": 10, "y": 80})  # on the photo, beside every label
    modal = page.locator("[data-cy=modal]")
    modal.locator("[data-cy=panel-tab-refine_panel]").click()
    modal.get_by_title("Split horizontally").click()
    wait_for_photo(page)
    paths = dataset.values("filepath")
    assert canvas(page, "session.photo.filepath") == paths[2]
    page.mouse.move(700, 20)
    press(page, "ArrowRight", f"session.photo?.filepath === {paths[3]!r} && board.picture && !session.busy")
    press(page, "ArrowLeft", f"session.photo?.filepath === {paths[2]!r} && board.picture && !session.busy")
    pictures = page.evaluate(LOOKERS)
    chosen = canvas(page, "session.chosen")
    drag_joint(page, "nose", 30, -25)
    at_rest(page)
    press(page, "Enter", "!session.isDirty()")
    page.wait_for_function(f"{LOOKERS}.join() !== '{','.join(pictures)}'")
    page.screenshot(path=ARTIFACTS / "modal-refine.png")
    waiting = [item.label_id for item in review_queue(dataset, "pred").items]
    press(page, "d", f"session.chosen !== '{chosen}' && !session.busy")  # accept, and go on
    dataset.reload()
    assert dataset.count_label_tags("pred")["accepted"] == 1
    following = canvas(page, "session.chosen")
    assert following == next(label_id for label_id in waiting if label_id != chosen)
    modal.get_by_text(canvas(page, "session.photo.filepath")).first.wait_for()  # the open photo follows
    press(page, "p", f"session.chosen === '{chosen}' && !session.busy")  # back to whoever was accepted
    modal.get_by_text(paths[2]).first.wait_for()
    press(page, "z", "!session.stored.get(session.chosen).is_accepted && !session.busy")
    dataset.reload()
    assert "accepted" not in dataset.count_label_tags("pred")
    page.context.close()


def test_browsers_do_not_mix(browser, app, page, dataset):
    theirs = show(browser, app, dataset, 1366, 768)
    open_once(theirs, "refine_panel", BOARD)
    wait_for_photo(theirs)
    drag_joint(page, "nose", 25, 25)
    at_rest(page)
    mine, shown = canvas(page, "[session.chosen, session.past.length]"), canvas(theirs, PEOPLE)
    at_rest(theirs)
    theirs.keyboard.press("Enter")
    theirs.get_by_text("There is nothing to save.").wait_for()
    assert not refined_ids(dataset)  # what is not saved is this browser's
    theirs.keyboard.press("n")
    wait_for_canvas(theirs, f"session.chosen !== '{mine[0]}' && !session.busy")
    assert canvas(page, "[session.chosen, session.past.length]") == mine
    assert canvas(theirs, "session.past.length") == 0 and dict(shown)[mine[0]] is not None
    theirs.context.close()

    refine_pose(dataset, mine[0], {"left_wrist": (5.0, 5.0)}, "pred")  # somebody else, in another process
    press(page, "Enter", "session.future.length === 1")
    assert "Somebody else changed" in says(page)
    saved = find_person(dataset, "pred", mine[0]).pose
    assert saved.keypoints[9].tolist() == [5, 5] and not saved.fixed[0]  # theirs stays
    assert canvas(page, "session.person().joints[9].slice(0, 2)") == [5, 5]  # and is shown


def test_what_is_not_saved_survives_a_reload_and_another_photo(page, dataset):
    drag_joint(page, "left_wrist", 20, -20)
    at_rest(page)
    chosen, people = canvas(page, "session.chosen"), dict(canvas(page, PEOPLE))
    page.reload()
    page.locator("[data-cy=looker]").nth(PHOTOS - 1).wait_for()
    wait_for_photo(page)
    assert dict(canvas(page, PEOPLE)) == people and canvas(page, "session.isDirty()")
    sample_id = canvas(page, "session.photo.sample_id")
    for _ in range(10):  # round the queue
        page.keyboard.press("n")
        wait_for_canvas(page, "!session.busy")
        if canvas(page, "session.photo.sample_id") != sample_id:
            break
    wait_for_photo(page)
    assert not canvas(page, "session.isDirty()")
    canvas(page, f"session.go('open', {{sample_id: '{sample_id}', field: 'pred', label_id: '{chosen}'}})")
    wait_for_canvas(page, f"session.photo?.sample_id === '{sample_id}' && !session.busy")
    assert dict(canvas(page, PEOPLE))[chosen] == people[chosen] and canvas(page, "session.isDirty()")


def test_a_key_is_for_the_panel_that_the_mouse_was_in(browser, app, dataset):
    page = show(browser, app, dataset, 1440, 900)
    open_panel(page, "refine_panel")  # beside the grid, whose place the queue takes
    wait_for_photo(page)
    open_panel(page, "review_panel")
    page.locator("[data-cy=pose-keys]").wait_for()
    page.mouse.click(*joint_place(page, "left_wrist"))
    wait_for_canvas(page, "session.joint === 9")
    press(page, "Delete", "session.person().joints[9] === null")
    press(page, "Shift+A", "session.stored.get(session.chosen).is_accepted && !session.busy")
    dataset.reload()
    assert len(dataset.values("pred.keypoints.id", unwind=True)) == 10  # nobody was deleted in the queue
    assert dataset.count_label_tags("pred")["accepted"] == 1
    accepted = dataset.filter_labels("pred", fo.ViewField("tags").contains("accepted")).first().pred.keypoints[0]
    assert accepted.id == canvas(page, "session.chosen")
    page.context.close()


@pytest.fixture
def odd_photos(app, tmp_path):
    """A photo that browsers cannot show, one that lies on its side with a block that says so, and one that is gone."""
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.tif")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    Image.fromarray(noise).save(tmp_path / "b.jpg", exif=exif)
    Image.fromarray(noise).save(tmp_path / "c.jpg")
    points = [[0.2 + 0.03 * i, 0.3 + 0.02 * i] for i in range(17)]
    person = {"points": points, "pred_oks": 0.5, "visibility": [1.0] * 17, "keypoint_oks": [0.5] * 17,
              "bounding_box": [0.1, 0.1, 0.8, 0.8]}  # fmt: skip
    dataset = fo.Dataset(persistent=True)
    dataset.add_samples([
        fo.Sample(str(tmp_path / name), pred=fo.Keypoints(keypoints=[fo.Keypoint(label="person", **person)]))
        for name in ("a.tif", "b.jpg", "c.jpg")
    ])  # fmt: skip
    dataset.add_dynamic_sample_fields()
    set_skeleton(dataset, "pred")
    yield dataset
    dataset.delete()


def test_photos_that_browsers_cannot_show_lie_on_their_side_or_are_gone(browser, app, odd_photos):
    page = show(browser, app, odd_photos, 1366, 768, photos=1)
    open_once(page, "refine_panel", BOARD)
    tif, turned, gone = odd_photos.values("id")
    look = "session.go('open', {{sample_id: '{}', field: 'pred'}}) && null".format
    wait_for_canvas(page, "(session.photo || session.problem) && !session.busy")
    page.wait_for_timeout(500)
    canvas(page, look(tif))
    wait_for_canvas(page, f"session.photo?.sample_id === '{tif}' && board.picture")
    canvas(page, look(turned))
    wait_for_canvas(page, f"session.photo?.sample_id === '{turned}' && board.picture")
    assert canvas(page, "[session.photo.width, session.photo.height]") == [120, 160]
    assert canvas(page, "[board.picture.image.naturalWidth, board.picture.image.naturalHeight]") == [120, 160]
    assert canvas(page, "session.person().joints[0].slice(0, 2)") == pytest.approx([0.2 * 120, 0.3 * 160])
    path = odd_photos.values("filepath")[2]
    Path(path).unlink()
    canvas(page, look(gone))
    page.get_by_text(f"Cannot read {path}").first.wait_for()
    page.context.close()


def test_labelled_people_and_the_pose_before_are_drawn_and_a_correction_of_another_day_is_undone(browser, app, dataset):
    sample = dataset.first()
    person = min(sample.pred.keypoints, key=lambda known: known.pred_oks)
    label = fo.Keypoint(label="person", points=person.points, visibility=[2] * 17, bounding_box=person.bounding_box)
    sample["gt"] = fo.Keypoints(keypoints=[label])
    sample.save()
    set_skeleton(dataset, "gt")
    record = {
        "joints": [[30.0 + i, 40.0 + i, 1.0, 1.0, True] for i in range(17)],
        "box": [20.0, 20, 60, 70],
        "score": 0.5,
    }
    mark = find_person(dataset, "pred", person.id).mark
    save_corrections(dataset, "pred", sample.id, Corrections(poses={person.id: {**record, "mark": mark}}))
    page = show(browser, app, dataset, 1366, 768)
    open_once(page, "refine_panel", BOARD)
    wait_for_photo(page)
    canvas(page, f"session.go('open', {{sample_id: '{sample.id}', field: 'pred', label_id: '{person.id}'}}) && null")
    wait_for_canvas(page, f"session.chosen === '{person.id}' && board.picture && !session.busy")
    at_rest(page)
    page.keyboard.press("w")  # the whole photo
    wait_for_canvas(page, "board.view.scale < 2")
    page.wait_for_timeout(300)
    for key, is_shown in (("b", "board.isCompared"), ("t", "board.isTruthShown"), ("Shift+J", "board.areNamesShown")):
        plain = page.evaluate(PICTURE)
        press(page, key, is_shown)
        page.wait_for_function(f"{PICTURE} !== {plain!r}")
        page.screenshot(path=ARTIFACTS / f"refine-{key[-1]}.png")
        press(page, key, f"!{is_shown}")
    assert canvas(page, "session.stored.get(session.chosen).saved") == 1
    press(page, "z", "session.stored.get(session.chosen).saved === 0 && !session.busy")
    assert not refined_ids(dataset)
    assert canvas(page, "session.person().joints[0].slice(0, 2)") != [30, 40]
    press(page, "y", "session.isDirty()")  # what had been saved is back, not saved
    assert canvas(page, "session.person().joints[0].slice(0, 2)") == [30, 40]
    page.context.close()
