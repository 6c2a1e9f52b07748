"""Where networks compute: whether PyTorch can use a device that somebody names."""

from __future__ import annotations


def check_device(name: str) -> None:
    """Check that PyTorch can compute on a device; nothing is allocated on a GPU.

    Args:
        name: such as ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

    Raises:
        ValueError: if it cannot; says why.
    """
    if name == "cpu":
        return
    import torch  # only when it is wanted

    try:
        device = torch.device(name)
        if device.type == "cuda":
            count = torch.cuda.device_count()
            if (device.index or 0) >= count:
                raise RuntimeError(f"it finds {count} CUDA devices")
        else:
            torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"Expected a device that this PyTorch can use, got {name!r}: {reason}") from None
