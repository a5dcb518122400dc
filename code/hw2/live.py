"""What the notebook's live trainings need besides: epochs with a progress bar, with
checkpoints where asked for; and the comparison of a result with the recorded seeds.
"""

import base64
import hashlib
import io
import json
import os
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy import stats
from torch import Tensor

from hw2 import training
from hw2.training import State

RECORDED = Path("recorded.json")  # beside the notebook, which writes it
# whether live trainings have other data than the recorded ones: then what is outside of
# its band is told and is no error
other_data = False
# chance that a training which is as it should be gives a number outside of its band
CHANCE = 0.001
# what other versions of a deterministic solver may change of an accuracy
SAME = 0.002


class UnexpectedError(Exception):
    """A live result is not what the recorded seeds lead to expect."""


def epochs(state: State, total: int, name: str) -> Iterator[int]:
    """The epochs that are left to train, with a progress bar that ends as one line.

    Where HW2_CHECKPOINTS names a folder, the state is kept there after each epoch, so
    that a killed training of the same network goes on where it was. What the loop draws
    at random has to depend on the epoch alone. Raises TrainingError for a damaged
    checkpoint.
    """
    folder = os.environ.get("HW2_CHECKPOINTS", "")
    file = Path(folder) / f"{name} {_digest(state)}.safetensors" if folder else None
    bar = {"ncols": 88, "file": sys.stdout}
    for _ in training.epochs(state, total, file, name, **bar):
        yield state.epoch


def _digest(state: State) -> str:
    """Tells a training at its beginning from those of other networks, initial weights
    or hyper-parameters.
    """
    found = hashlib.sha256(repr(state.model).encode())
    for value in state.model.state_dict().values():
        found.update(value.detach().cpu().contiguous().view(-1).numpy().tobytes())
    groups, schedule = state.optimizer.state_dict()["param_groups"], state.scheduler
    found.update(json.dumps([groups, schedule.state_dict()], default=str).encode())
    return found.hexdigest()[:12]


# --- what was recorded ---


@cache
def recorded() -> dict[str, Any]:
    """The recorded results of the trainings that the notebook makes."""
    return json.loads(RECORDED.read_text(encoding="utf-8"))


def examples() -> tuple[Tensor, list[str]]:
    """Five training images (5, 3, 64, 64) in uint8 with the names of their classes."""
    found = recorded()["examples"]
    strip = Image.open(io.BytesIO(base64.b64decode(found["png"])))
    images = np.stack(np.split(np.asarray(strip), len(found["names"]), axis=1))
    return torch.from_numpy(images).permute(0, 3, 1, 2), found["names"]


def band(recipe: Mapping[str, Any], live: int = 1) -> tuple[float, float]:
    """Where the mean of `live` more trainings of a recipe lies, but for CHANCE:
    Student's prediction interval from the recorded `values` of that recipe.

    The spread over the seeds is pooled from the recipes `like` it, itself among them. A
    single value is that of a computation without chance.
    """
    values = recipe["values"]
    if len(values) == 1:
        return values[0] - SAME, values[0] + SAME
    free = sum(len(group) - 1 for group in recipe["like"])
    squares = sum(np.var(group) * len(group) for group in recipe["like"])
    quantile = float(stats.t.ppf(1 - CHANCE / 2, free))
    half = quantile * float(squares / free * (1 / live + 1 / len(values))) ** 0.5
    return statistics.fmean(values) - half, statistics.fmean(values) + half


def _recipe(what: str, full: bool) -> dict[str, Any]:
    return recorded()["full" if full else "quick"][what]


def told(what: str, full: bool = False) -> str:
    """The recorded seeds of an accuracy, in words."""
    return _percent(_recipe(what, full)["values"])


def change(what: str, base: str, full: bool = False) -> str:
    """How much larger one recorded accuracy is than another, of each seed, in words."""
    changes = np.subtract(*(_recipe(name, full)["values"] for name in (what, base)))
    told = ", ".join(f"{100 * change:+.2f}" for change in changes)
    return f"{told} percentage points ({len(changes)} seeds)"


def compare(what: str, *accuracies: float, full: bool = False) -> None:
    """Print accuracies of live trainings beside those of the recorded seeds, as `check`
    does; without any, the recorded ones alone.
    """
    if not accuracies:
        print(f"{what}: RECORDED, not run here: {told(what, full)}")
        return
    check(what, _recipe(what, full), *accuracies)


def check(what: str, recipe: Mapping[str, Any], *accuracies: float) -> None:
    """Print accuracies of live trainings beside those of a recipe's recorded seeds.

    Raises UnexpectedError where their mean lies outside of the band, unless they have
    `other_data`.
    """
    low, high = (100 * end for end in band(recipe, len(accuracies)))
    print(f"{what}: {_percent(accuracies)} in this run")
    before = _percent(recipe["values"])
    print(f"    recorded: {before}; expected {low:.1f} to {high:.1f}%")
    outside = not low <= 100 * statistics.fmean(accuracies) <= high
    if outside and other_data:
        print("    outside of it: this run has another copy of the data")
    elif outside:
        raise UnexpectedError(
            f"{what}: {_percent(accuracies)} is outside of what the recorded seeds "
            f"lead to expect, {low:.1f} to {high:.1f}%: the recorded number or this "
            "training is wrong"
        )


def _percent(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{100 * values[0]:.2f}%"
    mean, spread = statistics.fmean(values), statistics.stdev(values)
    return f"{100 * mean:.2f} +- {100 * spread:.2f}% ({len(values)} seeds)"
