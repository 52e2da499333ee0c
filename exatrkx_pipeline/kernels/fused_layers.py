"""Whether compiled passes can take the place of torch's operations."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def is_fused(h: Tensor) -> bool:
    """Whether the input is float32 on the CPU, and needs no gradient."""
    return (
        h.device.type == "cpu"
        and h.dtype == torch.float32
        and not torch.is_grad_enabled()
    )


# Any: arrays of floats and of indices.
def array(tensor: Tensor) -> NDArray[Any]:
    """A view of the tensor's memory."""
    view: NDArray[Any] = tensor.detach().contiguous().numpy()
    return view
