"""Several processes that train together: which of them this is, what they wait for, how they share a batch.

``torchrun`` starts them, on one machine or more. Lightning Fabric joins them, places each on its device and averages
their gradients while these are computed (DistributedDataParallel). It is kept here, as ``torch.distributed`` keeps its
group, because a process joins once, whatever it trains.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch.distributed as dist
from torch import Tensor, nn

from clickpose.extras import require_extra

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_fabric: Fabric | None = None


def join_processes(device: str) -> str:
    """Become one of ``torchrun``'s processes, where it started this one.

    Args:
        device: ``"cpu"`` or ``"cuda"`` for several processes, any for one alone.

    Returns:
        the device of this process.

    Raises:
        ValueError: if Lightning Fabric is not installed, or several processes should share one device.
    """
    global _fabric
    if "RANK" not in os.environ:
        return device
    require_extra("train", "lightning_fabric")
    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy

    if device not in ("cpu", "cuda"):
        raise ValueError(f"Expected cpu or cuda under torchrun, which gives each process a device, got {device}")
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    strategy = DDPStrategy(find_unused_parameters=True)  # photos without people leave the keypoint decoder out
    machines = int(os.environ["WORLD_SIZE"]) // here
    _fabric = Fabric(accelerator=device, strategy=strategy, devices=here, num_nodes=machines)
    _fabric.launch()
    return str(_fabric.device)


def rank_and_world() -> tuple[int, int]:
    """Return this process's number and how many there are: (0, 1) for one alone."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def wait_for_all() -> None:
    """Wait until every process has come this far."""
    if dist.is_initialized():
        dist.barrier()


def mean_over_processes(value: Tensor) -> Tensor:
    """Return the mean of a tensor over the processes, the same for all; by itself, as float, where there is one.

    A loss that is divided by a count must be divided by this mean of it, so that averaged gradients are those of one
    process.
    """
    value = value.detach().float()
    if dist.is_initialized():
        dist.all_reduce(value)
        value /= dist.get_world_size()
    return value


def share_losses(model: nn.Module, losses: Callable) -> Callable:
    """Return a function of losses whose gradients are averaged over the processes; by itself where there is one.

    Args:
        model: what ``losses`` uses, on this process's device.
        losses: returns a dictionary of terms. Their sum goes to :func:`backward`.
    """
    return losses if _fabric is None else _fabric.setup_module(_Losses(model, losses))


def backward(total: Tensor) -> None:
    """Compute the gradients of what came from :func:`share_losses`."""
    if _fabric is None:
        total.backward()
    else:
        _fabric.backward(total)


class _Losses(nn.Module):
    """A function of losses as the module whose parameters it reaches, which is what can be shared."""

    def __init__(self, model: nn.Module, losses: Callable):
        super().__init__()
        self.model, self.losses = model, losses

    def forward(self, *args: Any) -> dict[str, Tensor]:
        return self.losses(*args)
