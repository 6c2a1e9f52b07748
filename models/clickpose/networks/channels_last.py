"""The order in memory that convolutions on a CPU are fastest in."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def channels_last(module: Module, device: torch.device | None = None) -> Module:
    """Lay a module's weights out with the channels last, in place, on a device; None leaves them where they are."""
    return module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch declares it not
