"""Task 2: the network and the other models on ten random splits, each trained on all
rows but test.
"""

from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from hw2.data import magic as data
from hw2.tasks import Experiment, Result, magic, magic_baselines

SPLITS = [211, *range(1, 10)]
SEEDS = [0, 1, 2]


def compare(checkpoints: Path) -> Result:
    """Test accuracies: curves with the network's of each seed, a summary with one
    number per split.
    """
    frame, config = magic.load()[0], magic.Config()
    x, y = data.arrays(frame)
    curves: dict[str, list[list[float]]] = {"network": []}
    summary: dict[str, list[float]] = {"network": []}
    for number in SPLITS:
        split = data.split(frame, number)
        rest = np.sort(np.concatenate([split.train, split.validation]))
        for name, model in magic_baselines.models(seed=number).items():
            summary.setdefault(name, []).append(
                float(model.fit(x[rest], y[rest]).score(x[split.test], y[split.test]))
            )
        rows, test = magic.prepare(config, frame, rest, split.test)
        model, _ = magic.train(config, SEEDS, rows, checkpoints=checkpoints)
        curves["network"].append(magic.loss_and_accuracy(model, test)[1])
        summary["network"].append(float(np.mean(curves["network"][-1])))
    return Result(CONFIG, SPLITS, curves, summary)


def canary(config: dict[str, Any]) -> list[float]:
    """That of the network, and those of the tree models."""
    trees = [
        magic_baselines.canary(name.split("_")[0], setting)
        for name, setting in config["baselines"].items()
    ]
    return [*magic.canary(config["network"]), *chain.from_iterable(trees)]


CONFIG = {
    "network": asdict(magic.Config()),
    "seeds": SEEDS,
    "baselines": magic_baselines.CHOSEN,
}
EXPERIMENTS = {
    "splits": Experiment(
        config=CONFIG,
        data=data.FILE,
        train=compare,
        canary=canary,
    )
}
