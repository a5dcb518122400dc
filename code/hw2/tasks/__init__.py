"""One module per experiment; each reads as the recipe, top to bottom."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hw2.data import DataFile

Config = dict[str, Any]
Curves = dict[str, list[list[float]]]
Summary = Mapping[str, float | list[float]]
Answers = Mapping[str, Tensor]


@dataclass(frozen=True)
class Result:
    """What an experiment gives: curves with one list per seed, a summary of numbers or
    of one number per seed, and what was predicted. What follows from the answers is in
    neither of the others: `Experiment.score` computes it.
    """

    config: Config
    seeds: list[int]
    curves: Curves
    summary: Summary
    weights: dict[str, Tensor] = field(default_factory=dict)
    device: torch.device | str = "cpu"  # where it was trained
    answers: dict[str, Tensor] = field(default_factory=dict)
    data: DataFile | None = None  # what was loaded, if not the experiment's first


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """An expensive computation that is recorded as a run.

    `config` holds every hyper-parameter as the code has it today, so that a recorded
    run with another one is stale. `train` does it; the folder it is given is for
    checkpoints, from which it resumes. `canary` gives, for a config as it is read from
    JSON, the losses of the first steps on a fixed synthetic batch, on the CPU in
    float32. `score` computes what follows from such a config, the recorded curves and
    answers: summary and curves. `evaluate` gives those answers (or weights, such as
    pictures) again that follow from such a config and the recorded weights, and the
    file of the data; so many draws of noise, or all (None), which takes long. `once`
    trains the first
    seed alone, to see whether it gives about what was recorded.
    """

    config: Config
    data: DataFile
    train: Callable[..., Result]
    canary: Callable[[Config], list[float]]
    evaluate: (
        Callable[[Config, Answers, int | None], tuple[dict[str, Tensor], DataFile]]
        | None
    ) = None
    score: Callable[[Config, Curves, Answers], tuple[Summary, Curves]] | None = None
    once: Callable[..., Result] | None = None
    copies: tuple[DataFile, ...] = ()  # of the same data, that are as good
    seeds: Sequence[int] = ()  # of today's code: a run of others is stale
    # whether `train` only describes the data, in seconds: an audit does it again
    description: bool = False
    # the key of the experiment whose recorded weights the training goes on from, which
    # `train` and `once` get besides the folder
    base: str = ""


def check_epochs(epochs: int, curves: Curves) -> None:
    """Raise ValueError for a curve that has not one number for each epoch."""
    for name, values in curves.items():
        for curve in values:
            if len(curve) != epochs:
                raise ValueError(
                    f"{name} has not one number for each epoch, but {len(curve)} "
                    f"numbers for {epochs} epochs"
                )
