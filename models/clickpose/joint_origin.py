"""Where the joints of a new skeleton come from when a trained network is given one (Click-Pose, Sec. 4.5).

Joints that the network knows keep what it has of them; new ones start from their neighbours along the edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clickpose.skeleton import Skeleton


@dataclass(frozen=True)
class JointOrigin:
    """Where the joints of a new skeleton come from.

    Attributes:
        known: for each new joint its index in the old skeleton, -1 for an added one.
        mixture: (K new, K old) rows that sum to 1: one old joint, or the mean of an added joint's neighbours.
    """

    known: tuple[int, ...]
    mixture: Tensor

    @property
    def added(self) -> tuple[int, ...]:
        """The new skeleton's joints that the old one lacks."""
        return tuple(joint for joint, origin in enumerate(self.known) if origin < 0)

    def mix(self, rows: Tensor) -> Tensor:
        """Return the new joints' rows (K new, …) of the old ones' (K old, …): copies, or means of neighbours."""
        mixed = torch.tensordot(self.mixture, rows.double(), dims=1).to(rows.dtype)
        for joint, known in enumerate(self.known):
            if known >= 0:
                mixed[joint] = rows[known]  # bit by bit, whatever the product does
        return mixed


def joint_origin(old: Skeleton, new: Skeleton) -> JointOrigin:
    """Match joints by name, in any usual spelling, and find the others' neighbours along the edges.

    An added joint whose neighbours are all added takes theirs, and so on.

    Raises:
        ValueError: if the skeletons share no joint, or no path of edges leads from an added joint to a known one.
    """
    matches = [old.match(name) for name in new.names]
    known = tuple(-1 if match is None else match for match in matches)
    if all(origin < 0 for origin in known):
        raise ValueError(f"Expected joints of {new.name!r} among {', '.join(old.names)}, got {', '.join(new.names)}")
    mixture = torch.zeros(len(new), len(old), dtype=torch.float64)
    settled = {joint for joint, origin in enumerate(known) if origin >= 0}
    for joint in settled:
        mixture[joint, known[joint]] = 1
    while len(settled) < len(new):
        near = {j: [n for n in new.neighbours(j) if n in settled] for j in range(len(new)) if j not in settled}
        reached = {joint: others for joint, others in near.items() if others}
        if not reached:
            names = ", ".join(new.names[joint] for joint in near)
            raise ValueError(f"Expected edges from the new joints to known ones, got none for {names}")
        for joint, others in reached.items():
            mixture[joint] = mixture[others].mean(dim=0)
        settled |= set(reached)
    return JointOrigin(known, mixture)
