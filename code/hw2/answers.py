"""What networks answered, row by row: stored beside a recorded run, so that its numbers
are computed when they are read and can be compared with the data.

Yes or no for many rows is stored as bits, eight in a byte.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# names of tensors that hold bits end so
BITS = ".bits"
# Another processor's rounding moves a row across a threshold, or a probability a
# little: two rows of a tensor may differ, or this share of them.
SHARE, ROWS = 0.0005, 2
# but for what is copied from the data: a tensor's name, or its last part
COPIED = ("labels", "images")
CLOSE = 2e-3  # how far apart two probabilities are the same


def pack(values: Tensor) -> Tensor:
    """Booleans (..., rows) as bits (..., rows / 8, rounded up) in uint8."""
    return torch.from_numpy(np.packbits(values.cpu().numpy(), axis=-1))


def unpack(bits: Tensor, rows: int) -> Tensor:
    """Booleans (..., rows) from their bits. Raises ValueError where there are more or
    fewer bits.
    """
    if bits.dtype != torch.uint8 or bits.shape[-1] != (rows + 7) // 8:
        raise ValueError(f"{tuple(bits.shape)} {bits.dtype} are no bits of {rows} rows")
    return torch.from_numpy(
        np.unpackbits(bits.numpy(), axis=-1, count=rows).astype(bool)
    )


class Difference(NamedTuple):
    """How many of the entries of one tensor of answers are others when they are
    computed again.
    """

    name: str
    entries: int
    changed: int
    exact: bool = False  # no entry may differ

    @property
    def holds(self) -> bool:
        if self.exact or self.name.rsplit(".", 1)[-1] in COPIED:
            return not self.changed
        return self.changed <= max(ROWS, SHARE * self.entries)


def others(answers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Answers that are all others, of the same kinds: what is computed from them is
    another thing.
    """
    generator, found = torch.Generator().manual_seed(0), {}
    for name, old in answers.items():
        if name.endswith(BITS):
            found[name] = old ^ 255
        elif old.is_floating_point():
            found[name] = 1 - old
        else:
            found[name] = old[torch.randperm(len(old), generator=generator)]
    return found


def differences(
    recorded: Mapping[str, Tensor], again: Mapping[str, Tensor]
) -> list[Difference]:
    """One for each tensor that was computed again. Raises ValueError for one that is
    not recorded, or has another shape.
    """
    found = []
    for name, new in again.items():
        old = recorded.get(name)
        if old is None or old.shape != new.shape or old.dtype != new.dtype:
            shape = "missing" if old is None else f"{tuple(old.shape)} {old.dtype}"
            raise ValueError(
                f"{name} is {shape}, computed again it is {tuple(new.shape)} "
                f"{new.dtype}"
            )
        if name.endswith(BITS):
            changed = int(np.unpackbits((old ^ new).numpy()).sum())
            entries = 8 * new.numel()
        elif new.is_floating_point():
            close = torch.isclose(old.double(), new.double(), rtol=CLOSE, atol=CLOSE)
            changed, entries = int((~close).sum()), new.numel()
        else:
            changed, entries = int((old != new).sum()), new.numel()
        found.append(Difference(name, entries, changed))
    return found
