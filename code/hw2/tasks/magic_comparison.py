"""Task 2: the network and the other models on ten random splits, each trained on all
rows but test.

All choices were made before these splits were drawn, though on rows that are test rows
in some of them, for the network and for the trees alike. Boosting gets what the network
gets: the mean of as many models, and the derived features.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from hw2.answers import BITS, pack
from hw2.data import magic as data
from hw2.tasks import (
    Answers,
    Curves,
    Experiment,
    Result,
    Summary,
    magic,
    magic_baselines,
)

SPLITS = list(range(301, 311))
OVERLAP = 0.2 / 0.8  # test rows of a split for each that is learned from


@cache
def _data() -> tuple[np.ndarray, np.ndarray, dict[int, data.Split]]:
    frame = magic.load()[0]
    splits = {number: data.split(frame, number) for number in SPLITS}
    return *data.arrays(frame), splits


def compare(splits: Sequence[int], checkpoints: Path) -> Result:
    """What the network and the other models answer to the test rows of each split."""
    frame, config = magic.load()[0], magic.Config()
    x, y, parts = _data()
    answers: dict[str, Tensor] = {}
    for number in tqdm(splits, "splits", unit="split", disable=None):
        split = parts[number]
        rest = np.sort(np.concatenate([split.train, split.validation]))
        for name, model in magic_baselines.models(seed=number).items():
            hadron = model.fit(x[rest], y[rest]).predict(x[split.test]) == 1
            answers[f"{name}.{number}{BITS}"] = pack(torch.from_numpy(hadron))
        rows, test = magic.prepare(config, frame, rest, split.test)
        model, _ = magic.train(config, [number], rows, checkpoints=checkpoints)
        p = magic.probabilities(model, test.tensors[0])[0]
        answers[f"network.{number}{BITS}"] = pack(p > 0.5)
    return Result(CONFIG, list(splits), {}, {}, answers=answers)


def score(
    config: dict[str, Any], curves: Curves, answers: Answers
) -> tuple[Summary, Curves]:
    """Test accuracies, one per split."""
    del curves
    _, y, parts = _data()
    summary: dict[str, list[float]] = {}
    for number in config["splits"]:
        label = torch.from_numpy(y[parts[number].test] == 1)
        for key, bits in answers.items():
            name, split = key.removesuffix(BITS).rsplit(".", 1)
            if int(split) == number:
                summary.setdefault(name, []).extend(magic.accuracies(bits[None], label))
    return summary, {}


def canary(config: dict[str, Any]) -> list[float]:
    """That of the network, and those of the tree models."""
    trees = [
        magic_baselines.canary(name.split("_")[0], setting)
        for name, setting in config["baselines"].items()
    ]
    return [*magic.canary(config["network"]), *chain.from_iterable(trees)]


CONFIG = {
    "network": asdict(magic.Config()),
    "splits": SPLITS,
    "boosted": magic_baselines.AVERAGED,
    "baselines": magic_baselines.CHOSEN,
}
EXPERIMENTS = {
    "splits": Experiment(
        config=CONFIG,
        data=data.FILE,
        train=partial(compare, SPLITS),
        canary=canary,
        score=score,
        once=partial(compare, SPLITS[:1]),
        seeds=SPLITS,
    )
}
