"""How fast is the end-to-end network on a CPU? A plain transcription of it against ours, same weights, fp32.

    python benchmarks/network.py [--height 800] [--width 1200] [--repeats 3] [--clicks 30] [--threads 2] [--onnx]
        [--out FILE]

"plain" runs every part as the paper's code is usually written: normalisations apart from their convolutions, PyTorch's
own matrix products, deformable attention by grid_sample over the projected values of the whole map, one attention mask
over all persons' queries, a box for every token, every layer's report, and a click loop over 20 persons. "ours" gives
the same numbers. The two take turns, so that a noisy machine is noisy for both: compare the minima. With --onnx a third
form takes its turn: encoding and clicks in the graphs of clickpose export. Peak memory comes from a process of its own
for each. The weights are random, which changes no time. On a machine that is busy with other work wall-clock time says
little: there, compare the CPU time of --threads 1, which is printed beside it.
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import resource
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from clickpose.networks.backbone import fold_batch_norm
from clickpose.networks.clickpose import ClickPose, prepare_clicks
from clickpose.networks.decoder_layer import DecoderLayer
from clickpose.networks.deformable_attention import DeformableAttention, Memory
from clickpose.networks.encoder import FeedForward
from clickpose.networks.linear import Linear
from clickpose.networks.proposals import ProposalStage
from clickpose.networks.self_attention import SelfAttention
from clickpose.r50.checkpoint import save_network
from clickpose.r50.onnx import OnnxEngine, export_network
from clickpose.skeleton import COCO

LOOP_PERSONS = 20  # whom the published click loop runs again


class PlainAttention(DeformableAttention):
    """Sample the projected values of the whole map with grid_sample."""

    def forward(self, query, references, memory):
        """See the base class."""
        return self.output_proj(self.read_grid(query, references, memory))


class PlainLinear(Linear):
    """By the library that PyTorch calls by itself."""

    def forward(self, x, relu=False):
        """See the base class."""
        y = F.linear(x, self.weight, self.bias)
        return F.relu(y) if relu else y


class PlainFeedForward(FeedForward):
    """All tokens at once."""

    def forward(self, x):
        """See the base class."""
        return self.linear2(self.linear1(x, relu=True))


class PlainSelfAttention(SelfAttention):
    """By PyTorch's module."""

    def forward(self, content, position, mask=None):
        """See the base class."""
        placed = content + position
        return nn.MultiheadAttention.forward(self, placed, placed, content, attn_mask=mask, need_weights=False)[0]


class PlainDecoderLayer(DecoderLayer):
    """One attention over the queries of all persons, with a mask that keeps them apart."""

    def _attend(self, content, position, group, mask):
        if group is not None:
            person = torch.arange(content.shape[1]) // group
            mask = person[:, None] != person
        return super()._attend(content, position, None, mask)


class PlainProposalStage(ProposalStage):
    """Refine the box of every token."""

    def forward(self, memory, count):
        """See the base class."""
        self.box_head(self.norm(self.project(memory.tokens)))
        return super().forward(memory, count)


PLAIN_FORMS = {
    DeformableAttention: PlainAttention,
    Linear: PlainLinear,
    FeedForward: PlainFeedForward,
    SelfAttention: PlainSelfAttention,
    DecoderLayer: PlainDecoderLayer,
    ProposalStage: PlainProposalStage,
}


def make_networks() -> dict[str, ClickPose]:
    """Return both forms of one network."""
    torch.manual_seed(0)
    plain = ClickPose().eval()
    ours = copy.deepcopy(plain)
    for module in plain.modules():
        module.__class__ = PLAIN_FORMS.get(type(module), type(module))
    fold_batch_norm(ours.backbone)
    prepare_clicks(ours)
    return {"plain": plain, "ours": ours.to(memory_format=torch.channels_last)}


def onnx_form(ours: ClickPose, threads: int) -> ClickPose:
    """Return the network with encoding and clicks in ONNX Runtime; a click takes one person."""
    torch.manual_seed(0)
    network = ClickPose().eval()  # as in make_networks: exporting folds the normalisations, which ours has done
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "random.safetensors"
        save_network(checkpoint, network, COCO)
        engine = OnnxEngine(export_network(network, checkpoint, Path(folder) / "exported"), threads)
    form = copy.copy(ours)
    form.encode = engine.encode
    form.refine = lambda memory, keypoints, boxes: engine.refine(
        memory, keypoints, boxes, torch.zeros(keypoints.shape[:3], dtype=torch.bool)
    )
    return form


def make_image(height: int, width: int) -> torch.Tensor:
    """Return a random (1, 3, H, W) network input."""
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))


def first_pass(network: ClickPose, image: torch.Tensor, reports: bool) -> Memory:
    """Encode and decode everybody; ``reports`` reads what every layer says, as for training."""
    if not reports:
        image = image.contiguous(memory_format=torch.channels_last)
    memory = network.encode(image)
    proposals = network.proposals(memory, network.config.queries)
    readings = ([], []) if reports else (None, None)
    humans = network.human_decoder(
        proposals.content, proposals.boxes_norm, memory, network.common, readings=readings[0]
    ).best(network.config.persons)
    queries = network.keypoint_decoder.expand(humans)
    network.keypoint_decoder(queries, memory, network.common, readings=readings[1])
    return memory


def click(network: ClickPose, memory: Memory, persons: int):
    """Refine so many persons over a cached memory."""
    generator = torch.Generator().manual_seed(1)
    keypoints = torch.rand(1, persons, network.config.num_keypoints, 2, generator=generator)
    boxes = torch.cat([keypoints.mean(2), torch.full((1, persons, 2), 0.3)], -1)
    return network.refine(memory, keypoints, boxes)


def timed(function, *arguments) -> tuple[tuple[float, float], object]:
    """Return (wall-clock, CPU) seconds and the result."""
    started, cpu_started = time.perf_counter(), time.process_time()
    result = function(*arguments)
    return (time.perf_counter() - started, time.process_time() - cpu_started), result


def peak_memory(name: str, height: int, width: int, threads: int) -> float:
    """Return how many MiB a first pass adds to the peak of a process, beyond the weights."""
    torch.set_num_threads(threads)
    networks = make_networks()
    with torch.inference_mode():
        first_pass(networks[name], make_image(64, 96), name == "plain")  # the libraries' own buffers
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        first_pass(networks[name], make_image(height, width), name == "plain")
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def measure(options: argparse.Namespace) -> dict[str, list[tuple[float, float]]]:
    """Return (wall-clock, CPU) seconds of every run by name; check that both forms agree, and report the cache."""
    networks, image = make_networks(), make_image(options.height, options.width)
    if options.onnx:
        networks["ONNX Runtime"] = onnx_form(networks["ours"], options.threads)
    times, memories = defaultdict(list), {}
    for _ in range(options.repeats):
        for name, network in networks.items():
            seconds, memories[name] = timed(first_pass, network, image, name == "plain")
            times[f"first pass, {name}"].append(seconds)
    for _ in range(options.clicks):
        for name, network in networks.items():
            persons = LOOP_PERSONS if name == "plain" else 1
            seconds, _ = timed(click, network, memories["ours"], persons)
            times[f"click, {name} ({persons} {'persons' if persons > 1 else 'person'})"].append(seconds)
    report_differences(networks, memories, image.shape[2:])
    return times


def report_differences(networks: dict[str, ClickPose], memories: dict[str, Memory], image_hw: tuple) -> None:
    """Print how far both forms are apart, how large the cache is, and what half of it changes."""
    tokens = {name: memory.tokens for name, memory in memories.items()}
    readings = {name: click(networks[name], memories[name], LOOP_PERSONS) for name in ("plain", "ours")}
    for name in [other for other in tokens if other != "ours"]:
        print(f"\nmemory, {name}: largest difference {(tokens[name] - tokens['ours']).abs().max():.1e}")
    apart = (readings["plain"].keypoints_norm - readings["ours"].keypoints_norm).abs().max()
    print(f"coordinates after a click: largest difference {apart:.1e} of the image")
    cache = tokens["ours"].numel() * 4 / 1e6
    halved = memories["ours"]._replace(tokens=tokens["ours"].half())
    moved = click(networks["ours"], halved, LOOP_PERSONS).keypoints_norm - readings["ours"].keypoints_norm
    pixels = moved.abs() * torch.tensor([image_hw[1], image_hw[0]])
    print(f"cache: {cache:.1f} MB an image; {cache / 2:.1f} MB in half precision, which moves a coordinate by", end=" ")
    print(f"{pixels.mean():.4f} px on average, {pixels.max():.3f} px at most (random weights)")


def report(times: dict[str, list[tuple[float, float]]], memory: dict[str, float]) -> dict[str, float]:
    """Print tables; return the ratios of minima, of wall-clock and of CPU time."""
    print("\n| seconds | min | median | CPU min | CPU median |\n|---|---|---|---|---|")
    for name, seconds in times.items():
        wall, cpu = np.transpose(seconds)
        print(f"| {name} | {min(wall):.4f} | {np.median(wall):.4f} | {min(cpu):.4f} | {np.median(cpu):.4f} |")
    figures = {}
    for column, clock in enumerate(("wall-clock", "CPU")):
        low = {name.partition(" (")[0]: min(s[column] for s in seconds) for name, seconds in times.items()}
        ratios = {
            "first pass": low["first pass, plain"] / low["first pass, ours"],
            "click against the loop over all": low["click, plain"] / low["click, ours"],
            "click against a fresh forward": (low["first pass, plain"] + low["click, plain"]) / low["click, ours"],
        }
        if "click, ONNX Runtime" in low:
            for what in ("first pass", "click"):
                ratios[f"{what} by ONNX Runtime against ours"] = low[f"{what}, ours"] / low[f"{what}, ONNX Runtime"]
        print(f"\nTimes as fast, {clock} minima: " + ", ".join(f"{n} {ratio:.2f}" for n, ratio in ratios.items()))
        figures |= {f"{name}, {clock}": ratio for name, ratio in ratios.items()}
    if memory:
        print(f"\npeak memory of a first pass: plain {memory['plain']:.0f} MiB, ours {memory['ours']:.0f} MiB")
    return figures


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=800, help="of the network input, pixels")
    parser.add_argument("--width", type=int, default=1200, help="of the network input, pixels")
    parser.add_argument("--repeats", type=int, default=3, help="first passes of each form")
    parser.add_argument("--clicks", type=int, default=30, help="clicks of each form")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--onnx", action="store_true", help="measure ONNX Runtime too")
    parser.add_argument("--no-memory", action="store_true", help="leave the peak memory out")
    parser.add_argument("--out", type=Path, help="write the figures here too, as JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    memory = {}
    if not options.no_memory:
        for name in ("plain", "ours"):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                memory[name] = pool.apply(peak_memory, (name, options.height, options.width, options.threads))
    with torch.inference_mode():
        times = measure(options)
    figures = report(times, memory) | {f"peak MiB, {name}": value for name, value in memory.items()}
    if options.out:
        seconds = {
            name: {"wall-clock": min(w), "CPU": min(c)} for name, runs in times.items() for w, c in [np.transpose(runs)]
        }
        options.out.write_text(json.dumps({**figures, "seconds": seconds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
