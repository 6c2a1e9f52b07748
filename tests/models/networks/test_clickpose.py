"""The end-to-end network: parity with the official one on stored cases, and its own rules on a tiny one."""

import dataclasses

import pytest
import torch

from clickpose.networks.clickpose import (
    ClickPose,
    ClickPoseConfig,
    PaddedGroupNorm,
    center_to_corners,
    corners_to_center,
)
from clickpose.networks.deformable_attention import Memory
from clickpose.networks.keypoint_decoder import PersonReading
from clickpose.networks.position_embedding import inverse_sigmoid
from clickpose.r50.checkpoint import official_names, to_official
from clickpose.r50.postprocess import official_detections
from clickpose.terms import grow_boxes_tensor
from helpers import tiny_r50

JOINTS = 17
COORDINATES, LOGITS = 1e-5, 1e-4


@pytest.fixture(scope="module", autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def fixture(shared_folder):
    path = shared_folder / "fixtures" / "clickpose_official_small.pt"
    if not path.is_file():
        pytest.skip("the shared folder holds no clickpose_official_small.pt")
    return torch.load(path, weights_only=True)


@pytest.fixture(scope="module")
def official(fixture) -> ClickPose:
    """The network of the fixture; its backbone, which the fixture leaves out, stays untrained."""
    config = ClickPoseConfig(encoder_layers=2, ffn_dim=128, queries=100)
    network = ClickPose(config).eval()
    stored = {name: value.float() for name, value in fixture["state_dict"].items()}
    stored |= {copy: stored[name] for copy, name in fixture["aliases"].items()}
    names = {name: official_names(name, config) for name in network.state_dict() if not name.startswith("backbone.")}
    assert {copy for copies in names.values() for copy in copies} == set(stored)
    network.load_state_dict({name: stored[copies[0]] for name, copies in names.items()}, strict=False)
    return network


def encoded(network: ClickPose, case: dict, padded: bool) -> Memory:
    masks = tuple(case["backbone_masks"]) if padded else None
    return network.encode_maps(tuple(case["backbone_feats"]), masks, normalise_padding=True)


def assert_persons(reading: PersonReading, wanted: dict, by_query: bool = False):
    """Compare with the official output; ``by_query`` pairs persons by box, where equal logits may change the ranks."""
    keypoints = wanted["pred_keypoints"][..., : 2 * JOINTS].unflatten(-1, (JOINTS, 2))
    assert torch.allclose(wanted["pred_keypoints"][..., 2 * JOINTS :], torch.tensor(1.0).sigmoid())
    for image in range(len(keypoints)):
        order = torch.arange(keypoints.shape[1])
        if by_query:
            order = torch.cdist(wanted["pred_boxes"][image], reading.boxes_norm[image]).argmin(1)
            assert len(set(order.tolist())) == len(order)
        close = {"rtol": 0, "atol": COORDINATES}
        torch.testing.assert_close(reading.boxes_norm[image, order], wanted["pred_boxes"][image], **close)
        torch.testing.assert_close(reading.keypoints_norm[image, order], keypoints[image], **close)
        torch.testing.assert_close(
            reading.class_logits[image, order], wanted["pred_logits"][image], rtol=0, atol=LOGITS
        )


CASES = pytest.mark.parametrize(("name", "padded"), [("single", False), ("padded_batch", True)])


@pytest.mark.parametrize(("name", "padded"), [("single", False), ("single", True), ("padded_batch", True)])
def test_encoder_and_first_pass_are_the_official_ones(official, fixture, name, padded):
    case = fixture["cases"][name]
    memory = encoded(official, case, padded)
    torch.testing.assert_close(memory.tokens, case["memory"], rtol=0, atol=LOGITS)
    proposals = official.proposals(memory, 100)
    if name == "single":
        torch.testing.assert_close(proposals.boxes_norm, case["references"][0], rtol=0, atol=COORDINATES)
        torch.testing.assert_close(proposals.anchors_norm, case["init_box_proposal"], rtol=0, atol=COORDINATES)
        start = official.keypoint_decoder.expand(official.find_humans(memory))
        torch.testing.assert_close(start.references.flatten(1, 2), case["references"][2], rtol=0, atol=COORDINATES)
    assert_persons(official.predict(memory), case["C0"], by_query=name == "padded_batch")


@CASES
def test_every_step_of_the_feedback_loop_is_the_official_one(official, fixture, name, padded):
    case = fixture["cases"][name]
    memory = encoded(official, case, padded)
    for clicks in ("C1", "C3"):
        if clicks == "C3" and "C3_steps" not in case:
            continue  # the padded batch has its last output alone; the next test runs the whole loop
        for step in case[f"{clicks}_steps"]:
            boxes = step["refpoint_unsig"].sigmoid()
            queries = official.keypoint_decoder.feedback(step["keypoints"], boxes)
            torch.testing.assert_close(queries.content[:, :, 0], step["tgt"])
            torch.testing.assert_close(queries.content[:, :, 1:], step["tgt_pose"])
            torch.testing.assert_close(
                queries.references.flatten(1, 2), step["references"][0], rtol=0, atol=COORDINATES
            )
            reading = official.refine(memory, step["keypoints"], boxes)
        assert_persons(reading, case[clicks])


@CASES
@pytest.mark.parametrize("clicks", [1, 3])
def test_the_whole_loop_from_images_features_to_the_last_click_is_the_official_one(
    official, fixture, name, padded, clicks
):
    case = fixture["cases"][name]
    memory = encoded(official, case, padded)
    reading = official.predict(memory)
    best = reading.class_logits.amax(-1).topk(20, dim=1).indices
    boxes, keypoints = (
        x.flatten(2).gather(1, best[..., None].expand(-1, -1, x[0, 0].numel()))
        for x in (reading.boxes_norm, reading.keypoints_norm)
    )
    keypoints = keypoints.unflatten(-1, (JOINTS, 2))
    for _ in range(clicks):
        keypoints, boxes = click_as_the_official_code(keypoints, boxes, case)
        reading = official.refine(memory, keypoints, boxes)
        keypoints, boxes = reading.keypoints_norm, reading.boxes_norm
    assert_persons(reading, case[f"C{clicks}"], by_query=name == "padded_batch")


def click_as_the_official_code(poses: torch.Tensor, boxes: torch.Tensor, case: dict) -> tuple:
    """Put the labelled joint with the largest |dx| + |dy| of each matched person at its target.

    The boxes of these persons grow to hold their joints, the others stay; everything passes through logits, which keep
    1e-3 away from the image's border.
    """
    poses, boxes = poses.clone(), boxes.clone()
    for image, (queries, people) in enumerate(case["matcher_indices"]):
        for query, person in zip(queries, people, strict=True):
            truth = case["targets"][image]["keypoints"][person]
            position, labelled = truth[: 2 * JOINTS].view(JOINTS, 2), truth[2 * JOINTS :] > 0
            error = (poses[image, query] - position).abs().sum(-1).masked_fill(~labelled, -1)
            poses[image, query, error.argmax()] = position[error.argmax()]
            grown = grow_boxes_tensor(center_to_corners(boxes[image, query]), poses[image, query])
            boxes[image, query] = corners_to_center(grown)
    return inverse_sigmoid(poses).sigmoid(), inverse_sigmoid(boxes).sigmoid()


@CASES
@pytest.mark.parametrize("clicks", ["C0", "C1"])
def test_postprocessing_is_the_official_one(official, fixture, name, padded, clicks):
    case = fixture["cases"][name]
    out = case[clicks]
    keypoints = out["pred_keypoints"][..., : 2 * JOINTS].unflatten(-1, (JOINTS, 2))
    reading = PersonReading(out["pred_logits"], out["pred_boxes"], keypoints, content=torch.zeros(0))
    for image, wanted in enumerate(case[f"postprocess_{clicks}"]):
        image_hw = tuple(case["targets"][image]["orig_size"].tolist())
        found = official_detections(reading, image, image_hw, count=20)
        assert found.labels.tolist() == wanted["labels"].tolist()
        torch.testing.assert_close(found.scores, wanted["scores"])
        torch.testing.assert_close(found.boxes_xyxy, wanted["boxes"], rtol=0, atol=1e-3)
        triples = wanted["keypoints"].unflatten(-1, (JOINTS, 3))
        torch.testing.assert_close(found.keypoints, triples[..., :2], rtol=0, atol=1e-3)


def test_the_full_network_has_the_official_names_and_shapes(shared_folder):
    lines = (shared_folder / "fixtures" / "clickpose_official_param_names.txt").read_text().splitlines()
    wanted = dict(line.split(" ", 1) for line in lines if line.strip())
    with torch.device("meta"):
        network = ClickPose()
        state = network.state_dict()
    found = {name: str(tuple(value.shape)) for name, value in to_official(state, network.config).items()}
    assert len(found) == 736 and len(state) == 616
    assert found == wanted


@pytest.fixture(scope="module")
def tiny() -> ClickPose:
    return tiny_r50.tiny_network()


@pytest.fixture(scope="module")
def memory(tiny) -> Memory:
    return tiny.encode(torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(0)))


def test_one_person_alone_equals_the_person_in_the_group(tiny, memory):
    everybody = tiny.predict(memory)
    fixed = torch.zeros(1, 5, JOINTS, dtype=torch.bool)
    fixed[:, :, 9] = True
    together = tiny.refine(memory, everybody.keypoints_norm, everybody.boxes_norm, fixed)
    for person in range(5):
        chosen = slice(person, person + 1)
        alone = tiny.refine(memory, everybody.keypoints_norm[:, chosen], everybody.boxes_norm[:, chosen],
                            fixed[:, chosen])  # fmt: skip
        for one, all_of_them in zip(alone, together, strict=True):
            torch.testing.assert_close(one[:, 0], all_of_them[:, person], rtol=0, atol=1e-5)


def test_clicks_are_held_in_every_layer_and_drift_without(tiny, memory):
    start = tiny.predict(memory)
    keypoints, boxes = start.keypoints_norm.clone(), start.boxes_norm
    keypoints[:, :, 3] = torch.tensor([0.123456, 0.987654])
    fixed = torch.zeros(1, 5, JOINTS, dtype=torch.bool)
    fixed[:, :, 3] = True
    held = tiny.refine(memory, keypoints, boxes, fixed).keypoints_norm
    assert torch.equal(held[:, :, 3], keypoints[:, :, 3])
    free = tiny.refine(memory, keypoints, boxes).keypoints_norm
    assert (free[:, :, 3] - keypoints[:, :, 3]).abs().min() > 1e-4
    assert (free - held).abs()[:, :, [0, 16]].max() > 1e-6  # the others see where the held one is


def test_a_click_at_the_very_border_is_returned_exactly(tiny, memory):
    keypoints = torch.full((1, 1, JOINTS, 2), 0.5)
    keypoints[0, 0, 0] = torch.tensor([0.0, 1.0])  # beyond what the inverse sigmoid can say
    fixed = torch.zeros(1, 1, JOINTS, dtype=torch.bool)
    fixed[0, 0, 0] = True
    reading = tiny.refine(memory, keypoints, torch.tensor([[[0.5, 0.5, 1.0, 1.0]]]), fixed)
    assert reading.keypoints_norm[0, 0, 0].tolist() == [0.0, 1.0]


def test_drawn_boxes_are_answered_one_by_one_and_change_nobody(tiny, memory):
    boxes = torch.tensor([[[0.3, 0.4, 0.2, 0.5], [0.7, 0.5, 0.3, 0.6]]])
    together = tiny.prompt_humans(memory, boxes)
    for person in range(2):
        alone = tiny.prompt_humans(memory, boxes[:, person, None])
        torch.testing.assert_close(alone.boxes_norm[0, 0], together.boxes_norm[0, person], rtol=0, atol=1e-5)
    poses = tiny.decode_humans(memory, together, same_rank=True)
    assert poses.keypoints_norm.shape == (1, 2, JOINTS, 2)
    assert (poses.keypoints_norm[0, 0] - poses.keypoints_norm[0, 1]).abs().max() > 1e-3


def test_padding_does_not_shift_the_normalisation_of_a_photo(tiny):
    """The published code counts padding as image there, so that only parity mode does."""
    generator = torch.Generator().manual_seed(4)
    channels, hws = tiny.config.backbone.channels, ((8, 12), (4, 6), (2, 3))
    maps = [torch.randn(1, c, *hw, generator=generator) + 1 for c, hw in zip(channels, hws, strict=True)]
    wide = [torch.cat([x, torch.zeros_like(x)], 3) for x in maps]
    masks = tuple(torch.arange(x.shape[3]).expand(1, *x.shape[2:]) >= x.shape[3] // 2 for x in wide)
    alone = tiny.encode_maps(tuple(maps)).tokens
    padded = tiny.encode_maps(tuple(wide), masks)
    inside = ~padded.padding_mask
    torch.testing.assert_close(padded.tokens[inside], alone[0], rtol=0, atol=1e-5)
    official = tiny.encode_maps(tuple(wide), masks, normalise_padding=True).tokens
    assert (official[inside] - alone[0]).abs().max() > 0.1


def test_normalisation_over_a_part_by_hand():
    norm = PaddedGroupNorm(1, 2)
    norm.weight.data, norm.bias.data = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0])
    x = torch.tensor([[[[1.0, 3.0, 99.0]], [[5.0, 7.0, -99.0]]]])  # mean 4 and variance 5 of what is image
    normed = norm(x, torch.tensor([[[False, False, True]]]))
    step = 1 / 5**0.5
    wanted = torch.tensor([[-3 * step, -step], [1 + 2 * step, 1 + 6 * step]])
    torch.testing.assert_close(normed[0, :, 0, :2], wanted, rtol=0, atol=1e-5)
    whole = torch.nn.functional.group_norm(x, 1, norm.weight, norm.bias)
    torch.testing.assert_close(norm(x), whole)
    torch.testing.assert_close(norm(x, torch.zeros(1, 1, 3, dtype=torch.bool)), whole)


def test_padding_and_batching_change_nothing_from_the_encoder_on(tiny):
    generator = torch.Generator().manual_seed(3)
    hws = ((8, 12), (4, 6), (2, 3), (1, 2))
    maps = [torch.randn(1, tiny.config.dim, *hw, generator=generator) for hw in hws]
    alone = tiny.encoder(maps)
    padded, masks = [], []
    for x in maps:
        height, width = x.shape[2:]
        wide = torch.randn(2, tiny.config.dim, height, 2 * width, generator=generator)
        wide[0, :, :, :width] = x[0]
        mask = torch.zeros(2, height, 2 * width, dtype=torch.bool)
        mask[0, :, width:] = True
        padded.append(wide)
        masks.append(mask)
    together, other = tiny.encoder(padded, masks), tiny.encoder([x[1:] for x in padded])
    torch.testing.assert_close(together.tokens[1:], other.tokens, rtol=0, atol=1e-5)
    image_tokens = together.tokens[0, ~together.padding_mask[0]]
    torch.testing.assert_close(image_tokens, alone.tokens[0], rtol=0, atol=1e-5)
    by_batch, by_one = tiny.proposals(together, 12), tiny.proposals(alone, 12)
    torch.testing.assert_close(by_batch.boxes_norm[:1], by_one.boxes_norm, rtol=0, atol=1e-5)
    # A query's position is embedded in units of the padded map, so that persons agree where nothing is padded alone.
    people, expected = tiny.predict(together), tiny.predict(other)
    torch.testing.assert_close(people.keypoints_norm[1:], expected.keypoints_norm, rtol=0, atol=1e-5)
    torch.testing.assert_close(people.boxes_norm[1:], expected.boxes_norm, rtol=0, atol=1e-5)


@pytest.mark.parametrize("joints", [14, 21])
def test_any_skeleton_size(joints):
    network = tiny_r50.tiny_network(dataclasses.replace(tiny_r50.TINY, num_keypoints=joints))
    memory = network.encode(torch.randn(1, 3, 96, 128))
    reading = network.refine(memory, torch.full((1, 2, joints, 2), 0.4), torch.full((1, 2, 4), 0.5))
    assert reading.keypoints_norm.shape == (1, 2, joints, 2)


def test_every_parameter_gets_a_finite_gradient():
    with torch.enable_grad():
        network = tiny_r50.tiny_network().train()
        memory = network.encode(torch.randn(1, 3, 96, 128))
        proposals = network.proposals(memory, 12)
        boxes, people = [], []
        humans = network.human_decoder(proposals.content, proposals.boxes_norm, memory, network.common, readings=boxes)
        queries = network.keypoint_decoder.expand(humans.best(5))
        network.keypoint_decoder(queries, memory, network.common, readings=people)
        feedback = network.refine(memory, torch.rand(1, 3, JOINTS, 2), torch.rand(1, 3, 4))
        outputs = [proposals.boxes_norm, proposals.class_logits, *feedback[:3]]
        outputs += [field for reading in (*boxes, *people) for field in reading[:3]]
        sum(x.square().sum() for x in outputs).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not without, without


def test_a_layer_starts_from_the_positions_before_it_as_if_they_were_given():
    """A layer's boxes and keypoints teach that layer's heads, and the sizes of keypoints the head that makes them."""
    network = tiny_r50.tiny_network(dataclasses.replace(tiny_r50.TINY, human_layers=2)).train()
    with torch.enable_grad():
        memory = network.encode(torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(5)))
        boxes, people = [], []
        proposals = network.proposals(memory, 6)
        humans = network.human_decoder(proposals.content, proposals.boxes_norm, memory, network.common, readings=boxes)
        queries = network.keypoint_decoder.expand(humans.best(2))
        network.keypoint_decoder(queries, memory, network.common, readings=people)
        (boxes[-1].boxes_norm.sum() + people[-1].keypoints_norm.sum() + people[-1].boxes_norm.sum()).backward()
    decoder = network.keypoint_decoder
    for heads in (network.human_decoder.box_heads, decoder.box_heads, decoder.keypoint_heads):
        assert heads[0].layers[0].weight.grad is None and heads[-1].layers[0].weight.grad.abs().max() > 0
    assert decoder.size_head.layers[0].weight.grad.abs().max() > 0


def test_box_formats_convert_both_ways():
    centered, corners = torch.tensor([[0.55, 0.35, 0.3, 0.5]]), torch.tensor([[0.4, 0.1, 0.7, 0.6]])
    torch.testing.assert_close(corners_to_center(corners), centered)
    torch.testing.assert_close(center_to_corners(centered), corners)
