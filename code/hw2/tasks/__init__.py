"""One module per experiment; each reads as the recipe, top to bottom."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hw2.data import DataFile

Config = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What an experiment gives: curves with one list per seed, a summary of numbers or
    of one number per seed.
    """

    config: Config
    seeds: list[int]
    curves: dict[str, list[list[float]]]
    summary: Mapping[str, float | list[float]]
    weights: dict[str, Tensor] = field(default_factory=dict)
    device: torch.device | str = "cpu"  # where it was trained


@dataclass(frozen=True)
class Experiment:
    """An expensive computation that is recorded as a run.

    `config` holds every hyper-parameter as the code has it today, so that a recorded
    run with another one is stale. `train` does it; the folder it is given is for
    checkpoints, from which it resumes. `canary` gives, for a config as it is read from
    JSON, the losses of the first steps on a fixed synthetic batch, on the CPU in
    float32. `evaluate` gives those numbers of the summary, one per seed, that follow
    from such a config, the recorded weights and the data.
    """

    config: Config
    data: DataFile
    train: Callable[[Path], Result]
    canary: Callable[[Config], list[float]]
    evaluate: (
        Callable[[Config, Mapping[str, Tensor]], dict[str, list[float]]] | None
    ) = None
