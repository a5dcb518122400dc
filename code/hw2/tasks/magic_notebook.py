"""Task 2 as the notebook trains it live: a plain network, and the chosen one with fewer
members.

Recorded over some seeds, so that what one live training gives can be compared with
them; and the logistic regression of the assignment's split.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hw2.answers import BITS, pack
from hw2.data.magic import FILE, arrays
from hw2.tasks import (
    Answers,
    Curves,
    Experiment,
    Result,
    Summary,
    check_epochs,
    magic,
)
from hw2.tasks.magic import SEEDS, Config
from hw2.tasks.magic_baselines import logistic

MEMBERS = 4
CONFIGS = {
    # what a first course teaches: standardized features, three hidden layers
    "plain": Config(
        members=1,
        depth=3,
        frequencies=0,
        dropout=0.0,
        weight_decay=0.0,
        transform="standard",
        derived=False,
    ),
    "chosen": Config(members=MEMBERS),
} | {
    name: replace(config, members=MEMBERS) for name, config in magic.INITIALIZED.items()
}
WATCHED = ("plain", "chosen")  # whose curves are recorded


def record(seeds: Sequence[int], checkpoints: Path) -> Result:
    """The curves of those that are watched, after training on the training rows; what
    all but the plain one answer to the test rows after training on all other rows.
    """
    frame, split, rest = magic.load()
    x, y = arrays(frame)
    hadron = logistic().fit(x[rest], y[rest]).predict(x[split.test]) == 1
    curves: Curves = {}
    answers: dict[str, Tensor] = {
        f"logistic{BITS}": pack(torch.from_numpy(hadron)[None])
    }
    for name, config in CONFIGS.items():
        if name in WATCHED:
            data, validation = magic.prepare(
                config, frame, split.train, split.validation
            )
            watched = {"train": data, "validation": validation}
            _, found = magic.train(config, seeds, data, watched, checkpoints)
            curves |= {f"{name}_{curve}": values for curve, values in found.items()}
        if name != "plain":
            data, test = magic.prepare(config, frame, rest, split.test)
            model, _ = magic.train(config, seeds, data, checkpoints=checkpoints)
            p = magic.probabilities(model, test.tensors[0])
            answers[f"{name}{BITS}"] = pack(p > 0.5)
    return Result(magic.records(CONFIGS), list(seeds), curves, {}, answers=answers)


def score(
    config: dict[str, Any], curves: Curves, answers: Answers
) -> tuple[Summary, Curves]:
    """Validation accuracies at the end of the curves, and test accuracies."""
    check_epochs(config["plain"]["epochs"], curves)
    summary: dict[str, float | list[float]] = {
        name: [curve[-1] for curve in curves[name]]
        for name in (f"{watched}_validation_accuracy" for watched in WATCHED)
    }
    for key, bits in answers.items():
        found = magic.accuracies(bits, magic.test_labels().bool())
        name = key.removesuffix(BITS)
        summary[f"{name}_test_accuracy"] = found[0] if name == "logistic" else found
    return summary, {}


EXPERIMENTS = {
    "notebook": Experiment(
        config=magic.records(CONFIGS),
        data=FILE,
        train=partial(record, SEEDS),
        canary=magic.canary,
        score=score,
        once=partial(record, SEEDS[:1]),
        seeds=SEEDS,
    )
}
