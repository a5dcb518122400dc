"""Task 3 as the notebook trains it live: a quick recipe to a little over 78 %, without
augmentation and with it.

Recorded over some seeds, so that what one live training gives can be compared with
them. Trained is on the training part, tested on the test images. And what three parts
of another short recipe are worth, on the validation images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from hw2 import training
from hw2.answers import BITS, pack, unpack
from hw2.data.imagenette import COUNTS, FILE, OFFICIAL
from hw2.tasks import (
    Answers,
    Curves,
    Experiment,
    Result,
    Summary,
    check_epochs,
    imagenette,
)
from hw2.tasks.imagenette import FAST

SEEDS = [0, 1]
LEVELS = (0.0, *imagenette.NOISE)
# at constant resolution, in the time of FAST: without a residual block and with fewer
# channels where images are largest, and in larger batches
QUICK = replace(
    FAST,
    widths=(24, 64, 128, 256),
    blocks=(0, 1, 1, 1),
    batch_size=96,
    sides=(imagenette.SIDE,),
)
CONFIGS = {
    "plain": QUICK,
    "augmented": replace(QUICK, augmentation=("shift", "flip")),
}


# a short recipe without augmentation, and with one of its parts undone
UNDONE = {
    "recipe": FAST,
    # with values that are usual for residual networks (He et al. 2016), not searched
    "SGD for Muon": replace(
        FAST, optimizer="sgd", learning_rate=0.05, weight_decay=5e-4
    ),
    "maximum for average": replace(FAST, pooling="maximum"),
    "no dropout": replace(FAST, dropout=0.0),
}


def record(seeds: Sequence[int], checkpoints: Path) -> Result:
    """The curves of each training, and which answers to the test images are right,
    clean and with one draw of the noise.
    """
    device = training.pick_device()
    data = imagenette.load(device)
    part, validation = imagenette.divide(data.train)
    curves: Curves = {}
    answers: dict[str, Tensor] = {}
    for seed in seeds:
        for name, config in CONFIGS.items():
            network, found = imagenette.train(
                config, seed, part, validation, checkpoints
            )
            for curve, values in found.items():
                curves.setdefault(f"{name}_{curve}", []).append(values)
            for level in LEVELS:
                right = imagenette.right_in_noise(network, data.test, level, 0)
                answers[f"{name}.{seed}.{level:g}{BITS}"] = pack(right)
    return Result(
        CONFIG,
        list(seeds),
        curves,
        {},
        device=device,
        answers=answers,
        data=data.archive,
    )


def score(
    config: Mapping[str, Any], curves: Curves, answers: Answers
) -> tuple[Summary, Curves]:
    """Test accuracies: `<recipe>_0` of the images as they are, `<recipe>_0.05` and so
    on of noisy ones.

    Raises ValueError for curves of another length than the epochs.
    """
    check_epochs(config["plain"]["epochs"], curves)
    summary: dict[str, list[float]] = {}
    for key, bits in answers.items():
        name, _, level = key.removesuffix(BITS).split(".", 2)
        right = unpack(bits, COUNTS["val"]).double().mean().item()
        summary.setdefault(f"{name}_{level}", []).append(right)
    return summary, {}


def canary(config: Mapping[str, Any]) -> list[float]:
    """That of the two trainings together."""
    return imagenette.canary(*(config[name] for name in CONFIGS))


CONFIG = {name: asdict(config) for name, config in CONFIGS.items()}
EXPERIMENTS = {
    "notebook": Experiment(
        config=CONFIG,
        data=FILE,
        train=partial(record, SEEDS),
        canary=canary,
        score=score,
        once=partial(record, SEEDS[:1]),
        seeds=SEEDS,
        copies=(OFFICIAL,),
    ),
    "undone": imagenette.ablation(UNDONE, list(UNDONE)),
}
