"""Task 2: an ensemble of multilayer perceptrons that tells gammas from hadrons in the
MAGIC data.

The recipe, top to bottom: hyper-parameters, data, model, training, evaluation,
experiments. All members of the ensemble and all seeds of an experiment have the same
shape, so they train at once, as batched matrix products.
"""

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    QuantileTransformer,
    StandardScaler,
)
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import TensorDataset

from hw2 import training
from hw2.answers import BITS, pack, unpack
from hw2.data import DataFile, magic
from hw2.kept import kept
from hw2.tasks import Answers, Curves, Experiment, Result, Summary, check_epochs


@dataclass(frozen=True)
class Config:
    """Every hyper-parameter of the network and its training; what was searched for is
    as the search found it.
    """

    members: int = 8  # networks whose probabilities are averaged
    depth: int = 5  # hidden layers
    width: int = 128  # units of a hidden layer
    frequencies: int = 8  # of the periodic features of each feature; 0 for none
    bandwidth: float = (
        0.19094916450449534  # standard deviation of the initial frequencies
    )
    activation: str = "relu"
    initialization: str = "kaiming_normal"
    dropout: float = 0.2027214200406228  # in steps of 1/256
    learning_rate: float = (
        0.0019871891723273185  # the largest of the one-cycle schedule
    )
    schedule: str = "one_cycle"  # or "constant"
    weight_decay: float = (
        0.013957816302542997  # AdamW's, on the weights of linear layers only
    )
    batch_size: int = 128
    epochs: int = 20
    transform: str = "quantile"  # of each feature by itself
    derived: bool = True  # features of `derive` beside the ten given ones

    def __post_init__(self) -> None:
        choices: list[tuple[str, Collection[str]]] = [
            (self.activation, ACTIVATIONS),
            (self.initialization, INITIALIZATIONS),
            (self.schedule, ("one_cycle", "constant")),
            (self.transform, TRANSFORMS),
        ]
        for value, known in choices:
            if value not in known:
                raise ValueError(
                    f"{value!r} is unknown, expected one of {', '.join(known)}"
                )


ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}
SMALL_STD = 0.005  # of the assignment's example
INITIALIZATIONS: dict[
    str, Callable[..., Tensor]
] = {  # of a weight (fan_out, fan_in), in place
    "kaiming_normal": lambda weight, g: nn.init.kaiming_normal_(
        weight, nonlinearity="relu", generator=g
    ),
    "xavier_uniform": lambda weight, g: nn.init.xavier_uniform_(weight, generator=g),
    "orthogonal": lambda weight, g: nn.init.orthogonal_(weight, generator=g),
    "small_normal": lambda weight, g: nn.init.normal_(
        weight, 0, SMALL_STD, generator=g
    ),
}


# --- data ---

TRANSFORMS = {
    "standard": StandardScaler,
    "quantile": lambda: QuantileTransformer(
        output_distribution="normal", subsample=None
    ),
    "log": lambda: make_pipeline(
        FunctionTransformer(lambda x: np.sign(x) * np.log1p(np.abs(x))),
        StandardScaler(),
    ),
}


def derive(x: np.ndarray) -> np.ndarray:
    """The given features and what an astronomer reads off them: rows x 10 to rows x 25.

    Position of the source relative to the shower's axis, elongation, light per area,
    angular sizes relative to the distance, and the asymmetries relative to the shower's
    size, with and without their signs (Hillas 1985).
    """
    length, width, size, conc, conc1, asym, m3_long, m3_trans, alpha, dist = x.T
    angle, extent = np.deg2rad(alpha), length + 1  # the 1 keeps quotients finite
    signed = [asym, m3_long, m3_trans]
    new = [
        dist * np.cos(angle),
        dist * np.sin(angle),  # "miss": how far the axis passes from the source
        width / extent,
        size - np.log10(length * width + 1),
        conc1 / conc,
        length / (dist + 1),
        width / (dist + 1),
        asym / extent,
        m3_long / extent,
        *np.abs(signed),
        *np.abs([asym / extent, m3_long / extent, m3_trans / (width + 1)]),
    ]
    return np.column_stack([x, *new])


def preprocessor(config: Config) -> Pipeline:
    """What the features go through: rows x 10 in; rows x 10, or 25 with derived ones,
    out, within [-5, 5].
    """
    return make_pipeline(
        FunctionTransformer(derive if config.derived else None),
        TRANSFORMS[config.transform](),
        FunctionTransformer(np.clip, kw_args={"a_min": -5, "a_max": 5}),
    )


def prepare(
    config: Config, frame: pd.DataFrame, rows: np.ndarray, *others: np.ndarray
) -> list[TensorDataset]:
    """The training `rows` and `others` as float32 tensors (features, labels);
    transforms see the training rows only.
    """
    x, y = magic.arrays(frame)
    transform = preprocessor(config).fit(x[rows])
    return [
        TensorDataset(
            torch.tensor(transform.transform(x[part]), dtype=torch.float32),
            torch.tensor(y[part], dtype=torch.float32),
        )
        for part in (rows, *others)
    ]


def folds(
    frame: pd.DataFrame, split: magic.Split, seed: int = 211
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Eight ways to part the rows that are not test rows into training and validation
    rows, 70 : 10 as in the split.

    Each row is a validation row once; strata and copies are kept as in `magic.split`.
    """
    copy = magic.copies(frame)
    rows = np.sort(np.concatenate([split.train, split.validation]))
    different, first = np.unique(copy[rows], return_index=True)
    parts = StratifiedKFold(8, shuffle=True, random_state=seed).split(
        different, frame["class"].to_numpy()[rows][first]
    )
    held_out = [np.isin(copy[rows], different[validation]) for _, validation in parts]
    return [(rows[~part], rows[part]) for part in held_out]


# --- model ---


class BatchedLinear(nn.Module):
    """One linear layer of many networks: (networks, rows, fan_in) to (networks, rows,
    fan_out).
    """

    def __init__(self, networks: int, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(networks, fan_in, fan_out))
        self.bias = nn.Parameter(torch.zeros(networks, 1, fan_out))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class Periodic(nn.Module):
    """Each feature besides as sines and cosines with trained frequencies (Gorishniy et
    al. 2022, arXiv:2203.05556).

    (networks, rows, features) to (networks, rows, features (1 + 2 frequencies)).
    """

    def __init__(self, networks: int, features: int, frequencies: int) -> None:
        super().__init__()
        self.frequency = nn.Parameter(torch.empty(networks, 1, features, frequencies))

    def forward(self, x: Tensor) -> Tensor:
        phase = (2 * torch.pi * x.unsqueeze(3) * self.frequency).flatten(2)
        return torch.cat([x, phase.sin(), phase.cos()], dim=2)


class Dropout(nn.Module):
    """Dropout with one random generator per seed, so that a seed's masks do not depend
    on the seeds beside it.

    A unit is dropped where a random byte is too small: that is many times faster than
    drawing a float for each.
    """

    def __init__(self, rate: float, generators: Sequence[np.random.Generator]) -> None:
        super().__init__()
        self.threshold = round(256 * rate)
        self.generators = generators

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and self.threshold):
            return x
        drawn = b"".join(
            generator.bytes(x.numel() // len(self.generators))
            for generator in self.generators
        )
        dropped = (
            torch.frombuffer(bytearray(drawn), dtype=torch.uint8).view(x.shape)
            < self.threshold
        )
        return x.masked_fill(dropped.to(x.device), 0) * (256 / (256 - self.threshold))


class Ensemble(nn.Module):
    """`members` perceptrons for each seed: (networks, rows, features) to logits
    (networks, rows).

    `generators`, one per seed, are what dropout and `train` draw from.
    """

    def __init__(self, config: Config, features: int, seeds: Sequence[int]) -> None:
        super().__init__()
        self.seeds, self.members = len(seeds), config.members
        self.generators = [np.random.default_rng(seed) for seed in seeds]
        layers: list[nn.Module] = []
        networks, fan_in = len(seeds) * config.members, features
        if config.frequencies:
            layers.append(Periodic(networks, features, config.frequencies))
            fan_in = features * (1 + 2 * config.frequencies)
        for _ in range(config.depth):
            layers += [
                BatchedLinear(networks, fan_in, config.width),
                ACTIVATIONS[config.activation](),
                Dropout(config.dropout, self.generators),
            ]
            fan_in = config.width
        self.layers = nn.Sequential(*layers, BatchedLinear(networks, fan_in, 1))
        self._initialize(config, seeds)

    @torch.no_grad()
    def _initialize(self, config: Config, seeds: Sequence[int]) -> None:
        for i, seed in enumerate(seeds):
            generator, mine = (
                torch.Generator().manual_seed(seed),
                slice(i * self.members, (i + 1) * self.members),
            )
            for layer in self.layers:
                if isinstance(layer, BatchedLinear):
                    for weight in layer.weight[mine]:
                        INITIALIZATIONS[config.initialization](weight.T, generator)
                elif isinstance(layer, Periodic):
                    layer.frequency[mine].normal_(
                        0, config.bandwidth, generator=generator
                    )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).squeeze(2)


# --- training ---


def batches(
    model: Ensemble, data: TensorDataset, size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch: features (networks, size, features) and labels (networks, size), each
    network in its own order.
    """
    x, y = data.tensors
    order = np.concatenate(
        [
            g.random((model.members, len(x)), dtype=np.float32).argsort(1)
            for g in model.generators
        ]
    )
    for rows in torch.from_numpy(order).split(size, dim=1)[: len(x) // size]:
        yield x[rows], y[rows]


def loss_function(logits: Tensor, label: Tensor) -> Tensor:
    """Binary cross-entropy: mean over the rows, sum over the networks, so that each has
    the gradient it has alone.
    """
    return binary_cross_entropy_with_logits(logits, label.expand_as(logits)) * len(
        logits
    )


def build(
    config: Config, seeds: Sequence[int], rows: int, features: int
) -> training.State[Ensemble]:
    """Model, optimizer and schedule for a training set of so many rows. Raises
    ValueError for less than one batch.
    """
    if rows < config.batch_size:
        raise ValueError(
            f"{rows} training rows are less than one batch of {config.batch_size}; "
            "lower batch_size"
        )
    model = Ensemble(config, features, seeds)
    groups: list[dict[str, Any]] = [
        {
            "params": [
                p for name, p in model.named_parameters() if name.endswith("weight")
            ]
        },
        {
            "params": [
                p for name, p in model.named_parameters() if not name.endswith("weight")
            ],
            "weight_decay": 0.0,
        },
    ]
    optimizer = torch.optim.AdamW(
        groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    scheduler: torch.optim.lr_scheduler.LRScheduler
    if config.schedule == "one_cycle":
        steps = config.epochs * (rows // config.batch_size)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, config.learning_rate, steps
        )
    else:
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    return training.State(model, optimizer, scheduler, model.generators)


def step(state: training.State[Ensemble], x: Tensor, y: Tensor) -> Tensor:
    """One step of the optimizer. Returns the logits (networks, rows) before it."""
    logits = state.model(x)
    state.optimizer.zero_grad()
    loss_function(logits, y).backward()
    state.optimizer.step()
    state.scheduler.step()
    return logits.detach()


def train(
    config: Config,
    seeds: Sequence[int],
    data: TensorDataset,
    watched: Mapping[str, TensorDataset] | None = None,
    checkpoints: Path | None = None,
) -> tuple[Ensemble, dict[str, list[list[float]]]]:
    """Train all seeds at once.

    Returns the ensemble and its curves: for each data set of `watched` its loss and
    accuracy after every epoch, `<name>_loss` and `<name>_accuracy`, one list per seed.
    With a folder for checkpoints, a killed training resumes.
    """
    state = build(config, seeds, *data.tensors[0].shape)
    model = state.model

    def epoch() -> dict[str, list[float]]:
        model.train()
        for x, y in batches(model, data, config.batch_size):
            step(state, x, y)
        numbers = {}
        for name, other in (watched or {}).items():
            numbers[f"{name}_loss"], numbers[f"{name}_accuracy"] = loss_and_accuracy(
                model, other
            )
        return numbers

    checkpoint = (
        checkpoints and checkpoints / f"{_digest(config, seeds, data)}.safetensors"
    )
    curves = training.fit(
        state,
        config.epochs,
        epoch,
        checkpoint,
        f"{len(seeds)} x {config.members} networks",
    )
    return model, {
        name: [list(curve) for curve in zip(*values, strict=True)]
        for name, values in curves.items()
    }


def _digest(config: Config, seeds: Sequence[int], data: TensorDataset) -> str:
    """Names the checkpoint of one training among all others."""
    content = (
        json.dumps([asdict(config), list(seeds)]).encode()
        + data.tensors[0].numpy().tobytes()
    )
    return hashlib.sha256(content).hexdigest()[:16]


# --- evaluation ---


@torch.inference_mode()
def member_probabilities(model: Ensemble, x: Tensor) -> Tensor:
    """P(hadron) of each row by each member: (seeds, members, rows)."""
    model.eval()
    networks = model.seeds * model.members
    p = torch.cat(
        [model(part.expand(networks, -1, -1)).sigmoid() for part in x.split(1024)],
        dim=1,
    )
    return p.view(model.seeds, model.members, -1)


def probabilities(model: Ensemble, x: Tensor) -> Tensor:
    """P(hadron) of each row (seeds, rows): the mean over the members of a seed."""
    return member_probabilities(model, x).mean(dim=1)


def accuracy_of_size(p: Tensor, y: Tensor, size: int) -> list[float]:
    """Accuracy of ensembles of `size` of the members with the probabilities (seeds,
    members, rows), one number per seed: the mean over disjoint ensembles.
    """
    means = torch.stack([some.mean(dim=1) for some in p.split(size, dim=1)])
    return ((means > 0.5) == y.bool()).double().mean(dim=(0, 2)).tolist()


def loss_and_accuracy(
    model: Ensemble, data: TensorDataset
) -> tuple[list[float], list[float]]:
    """Cross-entropy and accuracy of the ensemble, one number per seed each."""
    x, y = data.tensors
    return scores(probabilities(model, x), y)


def scores(p: Tensor, y: Tensor) -> tuple[list[float], list[float]]:
    """Cross-entropy and accuracy of probabilities (seeds, rows) of the label 1."""
    p = p.double().clamp(1e-12, 1 - 1e-12)
    loss = -(y * p.log() + (1 - y) * (1 - p).log()).mean(dim=1)
    return loss.tolist(), ((p > 0.5) == y.bool()).double().mean(dim=1).tolist()


BACKGROUND = (
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
)  # shares of hadrons let through at which the data's authors compare methods
ROC_GRID = tuple(np.linspace(0, 1, 201).tolist())


def signal_efficiency(
    p: np.ndarray, label: np.ndarray, background: Sequence[float]
) -> np.ndarray:
    """Share of the gammas that is kept where the given shares of hadrons are let
    through.

    Between two thresholds the ROC curve is taken as a straight line. `p` is P(hadron),
    `label` 1 for hadrons.
    """
    let_through, kept, _ = roc_curve(label == 0, 1 - p)
    return np.interp(background, let_through, kept)


def test_numbers(p: Tensor, y: Tensor) -> dict[str, list[float]]:
    """All that is reported of the test set, one number per seed each, from the
    probabilities (seeds, rows) and the labels.
    """
    loss, accuracy = scores(p, y)
    each, label = p.numpy(), y.numpy()
    efficiency = np.array([signal_efficiency(row, label, BACKGROUND) for row in each])
    return {
        "test_accuracy": accuracy,
        "test_loss": loss,
        "test_auc": [float(roc_auc_score(label, row)) for row in each],
        "gamma_accuracy": (each[:, label == 0] <= 0.5).mean(axis=1).tolist(),
        "hadron_accuracy": (each[:, label == 1] > 0.5).mean(axis=1).tolist(),
    } | {
        f"signal_at_{share:g}": efficiency[:, i].tolist()
        for i, share in enumerate(BACKGROUND)
    }


# --- experiments ---

SEEDS = [211, 212, 213, 214, 215]
BATCHED = (1, 8, 40)  # networks that train at once, to see what that gains
SIZES = (1, 2, 4, 8)  # of ensembles, to see what the members are worth
INITIALIZED = {
    name: replace(Config(), initialization=name)
    for name in ("xavier_uniform", "small_normal")
}
_CHANGES: dict[str, dict[str, Any]] = {
    "as chosen": {},
    "twice the epochs": {"epochs": 2 * Config.epochs},
    "no derived features": {"derived": False},
    "no periodic features": {"frequencies": 0},
    "standardized, not quantiles": {"transform": "standard"},
    "logarithms, not quantiles": {"transform": "log"},
    "no dropout": {"dropout": 0.0},
    "no weight decay": {"weight_decay": 0.0},
    "ten times the weight decay": {"weight_decay": 10 * Config.weight_decay},
    "constant learning rate": {
        "schedule": "constant",
        "learning_rate": Config.learning_rate / 4,
    },
    "SiLU": {"activation": "silu"},
    "one hidden layer": {"depth": 1},
}
ABLATIONS = {
    name: replace(Config(), **{"members": 2, **change})
    for name, change in _CHANGES.items()
}
# other seeds than those of the search, on whose folds its winner, "as chosen", is
# flattered; the first one is also that of the folds
FOLD_SEEDS = list(range(311, 319))
PARTITION = FOLD_SEEDS[0]
# rows of a fold that are validated on for each that is learned from
OVERLAP = 1 / 7
SINGLE = replace(Config(), members=1)  # one network as chosen
# and without what an ordinary perceptron has not
PLAIN = replace(SINGLE, frequencies=0, derived=False)


def records(configs: Mapping[str, Config]) -> dict[str, Any]:
    """Configs as they are recorded."""
    return {name: asdict(config) for name, config in configs.items()}


@cache
def load() -> tuple[pd.DataFrame, magic.Split, np.ndarray]:
    """The data, the split of the assignment, and its training and validation rows
    together.
    """
    frame = magic.load()
    split = magic.split(frame)
    return frame, split, np.sort(np.concatenate([split.train, split.validation]))


def test_labels() -> Tensor:
    """Labels of the test rows, 1 for a hadron."""
    frame, split, _ = load()
    return torch.tensor(magic.arrays(frame)[1][split.test], dtype=torch.float32)


def cross_validate(config: Config, fold: int, seed: int) -> float:
    """Validation accuracy on one of the eight folds of the real data."""
    frame, split, _ = load()
    data, validation = prepare(config, frame, *folds(frame, split)[fold])
    return loss_and_accuracy(train(config, [seed], data)[0], validation)[1][0]


def final(config: Config, seeds: Sequence[int], checkpoints: Path) -> Result:
    """A network: curves of a training on the training rows, and what it answers to the
    test rows after one on all rows but test.
    """
    frame, split, rest = load()
    data, validation = prepare(config, frame, split.train, split.validation)
    model, curves = train(
        config, seeds, data, {"train": data, "validation": validation}, checkpoints
    )
    answers = {
        "validation": member_probabilities(model, validation.tensors[0]).half(),
    }
    data, test = prepare(config, frame, rest, split.test)
    model, refitted = train(config, seeds, data, {"rest": data}, checkpoints)
    weights = {name: value.half() for name, value in model.state_dict().items()}
    model.load_state_dict(weights)  # what is reported is what the recorded weights give
    answers["test"] = probabilities(model, test.tensors[0])
    return Result(
        asdict(config), list(seeds), curves | refitted, {}, weights, answers=answers
    )


def score_final(
    config: dict[str, Any], curves: Curves, answers: Answers
) -> tuple[Summary, Curves]:
    """The numbers of the test rows, and of the validation rows for some sizes of
    ensembles. Raises ValueError for curves of another length.
    """
    check_epochs(config["epochs"], curves)
    frame, split, _ = load()
    labels = torch.tensor(magic.arrays(frame)[1], dtype=torch.float32)
    y, members = labels[split.validation], answers["validation"].float()
    summary = {
        f"validation_accuracy_of_{size}": accuracy_of_size(members, y, size)
        for size in SIZES
        if size <= config["members"]
    }
    accuracy = [curve[-1] for curve in curves["validation_accuracy"]]
    told = scores(members.mean(dim=1), y)[1]
    if not np.allclose(accuracy, told, atol=2 / len(y)):
        raise ValueError(
            f"the curves end at the validation accuracies {accuracy}, the answers "
            f"give {told}"
        )
    p, label = answers["test"], labels[split.test]
    roc = [signal_efficiency(row, label.numpy(), ROC_GRID) for row in p.numpy()]
    return summary | {"validation_accuracy": accuracy} | test_numbers(p, label), {
        "roc_background": [list(ROC_GRID)] * len(p),
        "roc_signal": [row.tolist() for row in roc],
    }


def evaluate_final(
    config: dict[str, Any], weights: Mapping[str, Tensor], draws: int | None = 1
) -> tuple[dict[str, Tensor], DataFile]:
    """What recorded weights answer to the test rows."""
    del draws
    chosen = Config(**config)
    frame, split, rest = load()
    _, test = prepare(chosen, frame, rest, split.test)
    networks = weights["layers.1.bias" if chosen.frequencies else "layers.0.bias"]
    seeds = range(len(networks) // chosen.members)
    model = Ensemble(chosen, test.tensors[0].shape[1], seeds)
    model.load_state_dict(dict(weights))
    return {"test": probabilities(model, test.tensors[0])}, magic.FILE


@kept
def trained_anew(config: Config, seed: int) -> float:
    """Test accuracy of a network that is trained here and now, on all rows but test."""
    frame, split, rest = load()
    data, test = prepare(config, frame, rest, split.test)
    with threadpool_limits(1):  # on one machine always the same sums
        model, _ = train(config, [seed], data)
        return loss_and_accuracy(model, test)[1][0]


@kept
def gradient_sizes(config: Config, seed: int, steps: int) -> np.ndarray:
    """Root mean square of the gradient of each layer's weights in the first steps of a
    training on all rows but test: (steps, layers), the last layer last.
    """
    frame, _, rest = load()
    (data,) = prepare(config, frame, rest)
    state, found = build(config, [seed], *data.tensors[0].shape), []
    layers = [x for x in state.model.layers if isinstance(x, BatchedLinear)]
    with threadpool_limits(1):  # as in trained_anew; and threads wait for one another
        for x, y in islice(batches(state.model, data, config.batch_size), steps):
            step(state, x, y)
            gradients = [layer.weight.grad for layer in layers]
            found.append(
                [float(g.square().mean().sqrt()) for g in gradients if g is not None]
            )
    return np.array(found)


def initializations(seeds: Sequence[int], checkpoints: Path) -> Result:
    """The chosen network from other initial weights, trained on all rows but test, with
    an optimizer for each.
    """
    frame, split, rest = load()
    curves: Curves = {}
    answers: dict[str, Tensor] = {}
    for name, config in INITIALIZED.items():
        data, test = prepare(config, frame, rest, split.test)
        model, found = train(config, seeds, data, {"rest": data}, checkpoints)
        curves |= {f"{name}_{curve}": values for curve, values in found.items()}
        answers[f"{name}{BITS}"] = pack(probabilities(model, test.tensors[0]) > 0.5)
    return Result(records(INITIALIZED), list(seeds), curves, {}, answers=answers)


def score_initializations(
    config: dict[str, Any], curves: Curves, answers: Answers
) -> tuple[Summary, Curves]:
    """Test accuracies."""
    check_epochs(next(iter(config.values()))["epochs"], curves)
    y = test_labels().bool()
    return {name: accuracies(answers[f"{name}{BITS}"], y) for name in config}, {}


def accuracies(bits: Tensor, y: Tensor) -> list[float]:
    """Share of right answers (seeds) of bits (seeds, rows / 8), which say "hadron"."""
    return (unpack(bits, len(y)) == y).double().mean(dim=1).tolist()


def ablations(checkpoints: Path, chosen: Sequence[int] = range(8)) -> Result:
    """What networks answer to the validation rows of eight folds, as chosen and with
    one choice undone at a time.
    """
    frame, split, _ = load()
    answers: dict[str, Tensor] = {}
    parts = folds(frame, split, PARTITION)
    for name, config in ABLATIONS.items():
        for fold in chosen:
            data, validation = prepare(config, frame, *parts[fold])
            seed = FOLD_SEEDS[fold]
            model, _ = train(config, [seed], data, checkpoints=checkpoints)
            p = probabilities(model, validation.tensors[0])
            answers[f"{name}.{fold}{BITS}"] = pack(p > 0.5)
    seeds = [FOLD_SEEDS[fold] for fold in chosen]
    return Result(records(ABLATIONS), seeds, {}, {}, answers=answers)


def score_ablations(
    config: dict[str, Any], curves: Curves, answers: Answers
) -> tuple[Summary, Curves]:
    """Validation accuracies, one per fold."""
    del curves
    frame, split, _ = load()
    y = torch.tensor(magic.arrays(frame)[1], dtype=torch.bool)
    parts = [y[rows] for _, rows in folds(frame, split, PARTITION)]
    return {
        name: [
            accuracies(answers[key], labels)[0]
            for fold, labels in enumerate(parts)
            if (key := f"{name}.{fold}{BITS}") in answers
        ]
        for name in config
    }, {}


def batching(checkpoints: Path) -> Result:
    """Seconds that one epoch takes for some numbers of networks that train at once: the
    median of three epochs.
    """
    frame, split, _ = load()
    summary = {}
    for members in BATCHED:
        config = replace(Config(), members=members)
        (data,) = prepare(config, frame, split.train)
        state, seconds = build(config, [0], *data.tensors[0].shape), []
        for _ in range(3):
            start = time.perf_counter()
            for x, y in batches(state.model, data, config.batch_size):
                step(state, x, y)
            seconds.append(time.perf_counter() - start)
        summary[f"seconds_of_{members}"] = sorted(seconds)[1]
    return Result(asdict(Config()), [0], {}, summary)


def describe(checkpoints: Path) -> Result:
    """What the report shows of the data itself: sizes, first rows, and histograms
    before and after the transforms.
    """
    frame, split, _ = load()
    x, y = magic.arrays(frame)
    summary = {
        "rows": len(x),
        "gammas": int((y == 0).sum()),
        "copies": int(frame.duplicated().sum()),
    }
    summary |= {
        f"{part}_rows": len(getattr(split, part))
        for part in ("train", "validation", "test")
    }
    curves = {f"head_{name}": [frame[name].head().tolist()] for name in magic.FEATURES}
    for transform in ("raw", *TRANSFORMS):
        z = (
            x
            if transform == "raw"
            else TRANSFORMS[transform]().fit(x[split.train]).transform(x)
        )
        for i, name in enumerate(magic.FEATURES):
            column, label = z[split.train, i], y[split.train]
            low, high = np.quantile(column, (0.005, 0.995))
            edges = np.linspace(low, high, 41)
            curves[f"{transform}_{name}_edges"] = [edges.tolist()]
            for kind, number in magic.LABELS.items():
                density = np.histogram(column[label == number], edges, density=True)[0]
                curves[f"{transform}_{name}_{kind}"] = [density.tolist()]
    return Result({"split": 211}, [211], curves, summary)


def canary(config: Mapping[str, Any]) -> list[float]:
    """The losses of two members in eight steps on synthetic showers, for each config
    that was recorded.

    The eight steps are one epoch with the whole schedule in it, so that a change of any
    part of the training shows.
    """
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.lognormal(3, 1, (1024, 10)), columns=magic.FEATURES)
    frame["class"] = np.where(frame.fAlpha < frame.fLength, "g", "h")
    losses = []
    for recorded in [config] if "members" in config else config.values():
        chosen = replace(Config(**recorded), members=2, batch_size=128, epochs=1)
        (data,) = prepare(chosen, frame, np.arange(len(frame)))
        state = build(chosen, [0], *data.tensors[0].shape)
        for x, y in batches(state.model, data, chosen.batch_size):
            losses.append(loss_function(step(state, x, y), y).item())
    return losses


def canary_of_transforms(_: Mapping[str, Any]) -> list[float]:
    """How large made-up features are after each transform."""
    x = np.random.default_rng(0).lognormal(3, 1, (1024, 10))
    return [
        float(np.abs(transform().fit_transform(x)).mean())
        for transform in TRANSFORMS.values()
    ]


def _network(config: Config) -> Experiment:
    return Experiment(
        config=asdict(config),
        data=magic.FILE,
        train=partial(final, config, SEEDS),
        canary=canary,
        evaluate=evaluate_final,
        score=score_final,
        once=partial(final, config, SEEDS[:1]),
        seeds=SEEDS,
    )


EXPERIMENTS = {
    "data": Experiment(
        config={"split": 211},
        data=magic.FILE,
        train=describe,
        description=True,
        canary=canary_of_transforms,
        seeds=[211],
    ),
    "batching": Experiment(
        config=asdict(Config()),
        data=magic.FILE,
        train=batching,
        canary=canary,
        seeds=[0],
    ),
    "final": _network(Config()),
    "single": _network(SINGLE),
    "plain": _network(PLAIN),
    "initializations": Experiment(
        config=records(INITIALIZED),
        data=magic.FILE,
        train=partial(initializations, SEEDS),
        canary=canary,
        score=score_initializations,
        once=partial(initializations, SEEDS[:1]),
        seeds=SEEDS,
    ),
    "ablations": Experiment(
        config=records(ABLATIONS),
        data=magic.FILE,
        train=ablations,
        canary=canary,
        score=score_ablations,
        once=partial(ablations, chosen=range(1)),
        seeds=FOLD_SEEDS,
    ),
}
