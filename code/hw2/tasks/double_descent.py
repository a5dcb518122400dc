"""Question 3, reproduced: double descent of random features and of deep networks on
handwritten digits.

Two procedures, each over its size, over the number of training samples and with some
labels wrong: least squares on random ReLU features, solved exactly (Belkin et al.
2019), and multilayer perceptrons trained by Adam, also over the training time (Nakkiran
et al. 2020). Both have the squared loss on one-hot labels. The settings were chosen to
make the phenomenon visible in a few minutes, not for a small error.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.signal import find_peaks
from torch import Tensor, nn
from torch.nn.functional import one_hot

from hw2 import training
from hw2.answers import BITS, pack, unpack
from hw2.data import DataFile, digits
from hw2.tasks import Answers, Curves, Experiment, Result, Summary
from hw2.tasks import Config as Record
from hw2.tasks.magic import BatchedLinear

CLASSES = 10
NOISE = (0.0, 0.1, 0.2)


@dataclass(frozen=True)
class FeaturesConfig:
    """Random features: p of them with `samples` samples, then n samples with `features`
    features.
    """

    samples: int = 300
    features: int = 300
    ratios: tuple[float, ...] = (
        *(
            0.05,
            0.07,
            0.1,
            0.13,
            0.17,
            0.2,
            0.25,
            0.3,
            0.4,
            0.5,
            0.6,
            0.7,
            0.8,
            0.85,
            0.9,
            0.93,
            0.96,
            0.98,
            1.0,
            1.02,
        ),
        *(
            1.04,
            1.08,
            1.12,
            1.2,
            1.3,
            1.4,
            1.5,
            1.7,
            2.0,
            2.5,
            3.0,
            3.5,
            4.5,
            6.0,
            8.0,
            12.0,
        ),
    )  # p / samples, and as far as there are samples n / features
    noise: tuple[float, ...] = NOISE  # chance that a training label is wrong
    mus: tuple[float, ...] = tuple(
        np.logspace(-2, 4, 25).round(6).tolist()
    )  # ridge parameters to choose from
    largest: int = 1350  # training samples; all other rows are for testing

    def grids(self) -> dict[str, list[tuple[int, int]]]:
        """The pairs (n, p) of each curve."""
        return {
            "features": [
                (self.samples, round(ratio * self.samples)) for ratio in self.ratios
            ],
            "samples": [
                (n, self.features)
                for ratio in self.ratios
                if (n := round(ratio * self.features)) <= self.largest
            ],
        }


@dataclass(frozen=True)
class NetworkConfig:
    """Networks of every width, trained on every number of samples, each for nearly the
    same number of steps.
    """

    widths: tuple[int, ...] = (
        4,
        6,
        8,
        11,
        16,
        19,
        23,
        27,
        32,
        38,
        45,
        64,
        91,
        128,
        181,
    )
    samples: tuple[int, ...] = (500,)
    noise: tuple[float, ...] = NOISE
    depth: int = 3  # hidden layers
    output_scale: float = (
        0.1  # of the last layer's initialization, so that the function starts near zero
    )
    learning_rate: float = 3e-3
    batch_size: int = 100
    steps: int = 5000
    evaluations: int = 32  # at epochs that grow geometrically

    def __post_init__(self) -> None:
        if min(self.samples) < self.batch_size:
            raise ValueError(
                f"{min(self.samples)} samples are less than one batch of "
                f"{self.batch_size}; lower batch_size"
            )

    def epochs(self, samples: int) -> list[int]:
        """The epochs after which the networks are evaluated, the last one included."""
        last = self.steps // (samples // self.batch_size)
        return np.unique(
            np.geomspace(last, 1, self.evaluations).round().astype(int)
        ).tolist()


# --- data ---


@dataclass(frozen=True)
class Draw:
    """What a seed draws: training samples, each with its label and a wrong one, and all
    other samples for testing.

    Shapes: `x` (n, pixels), `label`, `wrong` and `luck` (n), `x_test` (rows, pixels),
    `label_test` (rows).
    """

    x: np.ndarray
    label: np.ndarray
    wrong: np.ndarray
    luck: np.ndarray
    x_test: np.ndarray
    label_test: np.ndarray

    def noisy(self, noise: float) -> np.ndarray:
        """The labels to train on, each of which is wrong with the probability `noise`;
        more noise changes the same labels and more.
        """
        return np.where(self.luck < noise, self.wrong, self.label)


def draw(x: np.ndarray, label: np.ndarray, samples: int, seed: int) -> Draw:
    """Choose training samples, centre all by their mean, scale all to their mean square
    of 1, draw wrong labels.
    """
    rng = np.random.default_rng(seed)
    train, test = np.split(rng.permutation(len(x)), [samples])
    x = x - x[train].mean(axis=0)
    x = x / np.sqrt(np.mean(x[train] ** 2))
    wrong = (label[train] + rng.integers(1, CLASSES, samples)) % CLASSES
    return Draw(
        x[train], label[train], wrong, rng.random(samples), x[test], label[test]
    )


def synthetic(samples: int) -> Draw:
    """A fixed draw from ten Gaussian classes, for the canaries."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, CLASSES, samples + 100)
    return draw(
        rng.standard_normal((CLASSES, 64))[label]
        + rng.standard_normal((len(label), 64)),
        label,
        samples,
        0,
    )


# --- random features ---


def random_features(x: np.ndarray, count: int, seed: int) -> np.ndarray:
    """ReLU features (rows, count) with random weights, unit by unit, so that fewer
    features are the first of more.
    """
    directions = np.random.default_rng([seed, 1]).standard_normal((count, x.shape[1]))
    return np.maximum(x @ directions.T / np.sqrt(x.shape[1]), 0)


@dataclass(frozen=True)
class Fit:
    """Least squares for several right-hand sides: outputs for train and test rows, and
    the loss of leaving one out.
    """

    train: np.ndarray
    test: np.ndarray
    left_out: np.ndarray


def least_squares(
    x: np.ndarray, y: np.ndarray, x_test: np.ndarray, mus: Sequence[float]
) -> Iterator[Fit]:
    """For each mu the fit of w_mu = (X^T X + mu I)^-1 X^T y; for mu = 0 the solution of
    smallest norm.

    Shapes: `x` (n, p), `y` (n, outputs), `x_test` (rows, p). `left_out` (outputs) is
    the mean squared error on each sample of the fit to all others, by the identity
    residual / (1 - leverage); it needs a mu > 0 or a rank below n.
    """
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    s = np.where(s > s[0] * max(x.shape) * np.finfo(s.dtype).eps, s, 0)
    coordinates, projected = u.T @ y, x_test @ vt.T
    for mu in mus:
        gain = np.divide(s, s**2 + mu, out=np.zeros_like(s), where=s > 0)[:, None]
        train = u @ (s[:, None] * gain * coordinates)
        free = np.maximum(1 - (u**2 @ (s[:, None] * gain)), np.finfo(s.dtype).eps)
        yield Fit(
            train,
            projected @ (gain * coordinates),
            np.mean(((y - train) / free) ** 2, axis=0),
        )


def targets(label: np.ndarray) -> np.ndarray:
    """One-hot labels, minus what they are on average for balanced classes: (n,
    CLASSES).
    """
    return np.eye(CLASSES)[label] - 1 / CLASSES


def features_numbers(
    config: FeaturesConfig, data: Draw, n: int, p: int, seed: int
) -> dict[str, list[float]]:
    """Train and test numbers of the solution of smallest norm and of ridge regression,
    one per noise level.

    The ridge parameter is the one of smallest leave-one-out loss, so it is chosen by
    the training samples alone.
    """
    labels = [data.noisy(noise)[:n] for noise in config.noise]
    y = np.concatenate([targets(label) for label in labels], axis=1)
    x, x_test = (random_features(part, p, seed) for part in (data.x[:n], data.x_test))
    plain, *ridge = least_squares(x, y, x_test, (0.0, *config.mus))
    truth = targets(data.label_test)
    metrics = ("train_loss", "train_error", "test_loss", "test_error", "ridge", "mu")
    numbers: dict[str, list[float]] = {metric: [] for metric in metrics}
    for i, label in enumerate(labels):
        own = slice(i * CLASSES, (i + 1) * CLASSES)
        best = int(np.argmin([fit.left_out[own].sum() for fit in ridge]))
        for part, outputs, wanted in (
            ("train", plain.train, y[:, own]),
            ("test", plain.test, truth),
        ):
            loss = np.sum((outputs[:, own] - wanted) ** 2) / np.sum(wanted**2)
            numbers[f"{part}_loss"].append(float(loss))
        numbers["train_error"].append(wrong(plain.train[:, own], label))
        numbers["test_error"].append(wrong(plain.test[:, own], data.label_test))
        numbers["ridge"].append(wrong(ridge[best].test[:, own], data.label_test))
        numbers["mu"].append(config.mus[best])
    return numbers


def wrong(output: np.ndarray, label: np.ndarray) -> float:
    """The share of rows whose largest output is not at the label."""
    return float(np.mean(output.argmax(axis=1) != label))


def train_features(
    config: FeaturesConfig, seeds: Sequence[int], checkpoints: Path
) -> Result:
    """Both curves for every seed. It takes less than a minute, so there is nothing to
    resume, and nothing else is worth storing.
    """
    del checkpoints
    record = asdict(config)
    answers, _ = evaluate_features(seeds, record, {})
    return Result(record, list(seeds), {}, {}, answers=answers)


def evaluate_features(
    seeds: Sequence[int],
    record: Record,
    weights: Mapping[str, Tensor],
    draws: int | None = 1,
) -> tuple[dict[str, Tensor], DataFile]:
    """All curves (seeds, grid), fitted anew."""
    del weights, draws
    config = FeaturesConfig(**record)
    curves: Curves = {}
    x, label = digits.load()
    for seed in seeds:
        data = draw(x, label, config.largest, seed)
        for kind, grid in config.grids().items():
            numbers = [features_numbers(config, data, n, p, seed) for n, p in grid]
            for metric in numbers[0]:
                for i, noise in enumerate(config.noise):
                    values = [rounded(item[metric][i]) for item in numbers]
                    curves.setdefault(f"{kind}/{metric}/{noise:g}", []).append(values)
    return {
        name: torch.tensor(values, dtype=torch.double)
        for name, values in curves.items()
    }, digits.FILE


def score_features(
    record: Record, curves: Curves, answers: Answers
) -> tuple[Summary, Curves]:
    """The curves, and the test errors with the most features."""
    del curves
    found = {name: values.tolist() for name, values in answers.items()}
    for name, values in found.items():
        grid = FeaturesConfig(**record).grids()[name.split("/")[0]]
        if any(len(curve) != len(grid) for curve in values):
            raise ValueError(f"{name} has not one number for each size")
    return {
        f"{metric} {noise:g}": [
            curve[-1] for curve in found[f"features/{metric}/{noise:g}"]
        ]
        for metric in ("test_error", "ridge")
        for noise in FeaturesConfig(**record).noise
    }, found


def features_canary(record: Record) -> list[float]:
    """Mean squared outputs and losses of small fits with a config's ridge parameters,
    on synthetic data.
    """
    config, data, losses = FeaturesConfig(**record), synthetic(40), []
    y = np.concatenate([targets(data.noisy(noise)) for noise in config.noise], axis=1)
    for p in (20, 80):
        x, x_test = (random_features(part, p, 0) for part in (data.x, data.x_test))
        plain, *ridge = least_squares(
            x, y, x_test, (0.0, config.mus[0], config.mus[-1])
        )
        losses += [float(np.mean(fit.test**2)) for fit in (plain, *ridge)]
        losses += [float(fit.left_out.mean()) for fit in ridge]
    return losses


# --- networks ---


class Networks(nn.Module):
    """Perceptrons of one width, `copies` for each seed: (networks, rows, pixels) to
    outputs (networks, rows, CLASSES).

    The copies of a seed start alike.
    """

    def __init__(
        self,
        config: NetworkConfig,
        width: int,
        pixels: int,
        seeds: Sequence[int],
        copies: int,
    ) -> None:
        super().__init__()
        sizes = [pixels, *[width] * config.depth, CLASSES]
        self.layers = nn.ModuleList(
            BatchedLinear(len(seeds) * copies, fan_in, fan_out)
            for fan_in, fan_out in pairwise(sizes)
        )
        scales = [1.0] * config.depth + [config.output_scale]
        with torch.no_grad():
            for i, seed in enumerate(seeds):
                generator = torch.Generator().manual_seed(seed)
                for layer, scale in zip(self.layers, scales, strict=True):
                    weight = layer.get_parameter("weight")[
                        i * copies : (i + 1) * copies
                    ]
                    drawn = torch.empty(weight.shape[1:]).normal_(
                        0, scale * (2 / weight.shape[1]) ** 0.5, generator=generator
                    )
                    weight.copy_(drawn.expand_as(weight))

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            x = layer(x).relu()
        return last(x)


@dataclass(frozen=True)
class Batch:
    """Data of all networks: `x` (networks, rows, pixels) and `label` (networks,
    rows).
    """

    x: Tensor
    label: Tensor

    def rows(self, chosen: Tensor) -> "Batch":
        """The chosen rows (networks, batch size) of each network."""
        network = torch.arange(len(chosen))[:, None]
        return Batch(self.x[network, chosen], self.label[network, chosen])


def stack(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Batch:
    """One network's data per pair (x, label)."""
    x, label = (np.stack(part) for part in zip(*pairs, strict=True))
    return Batch(torch.tensor(x, dtype=torch.float32), torch.tensor(label))


def build(
    config: NetworkConfig, width: int, seeds: Sequence[int], pixels: int = 64
) -> training.State[Networks]:
    """Networks of one width for all seeds and noise levels, their optimizer, and a
    generator of batches per seed.
    """
    model = Networks(config, width, pixels, seeds, len(config.noise))
    optimizer = torch.optim.Adam(
        model.parameters(), lr=config.learning_rate, fused=True
    )
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    return training.State(
        model,
        optimizer,
        scheduler,
        [np.random.default_rng([seed, 2]) for seed in seeds],
    )


def squared_loss(output: Tensor, label: Tensor) -> Tensor:
    """Squared error of the one-hot labels, summed over the classes, averaged over the
    rows: one number per network.
    """
    return (output - one_hot(label, CLASSES)).square().sum(dim=2).mean(dim=1)


def train_epoch(
    state: training.State[Networks], data: Batch, size: int
) -> list[Tensor]:
    """One epoch of all networks; those of a seed see the same batches. Returns each
    step's losses (networks).
    """
    copies, n = len(data.label) // len(state.generators), data.label.shape[1]
    order = torch.from_numpy(
        np.stack([generator.permutation(n) for generator in state.generators])
    )
    losses = []
    for chosen in order.repeat_interleave(copies, dim=0).split(size, dim=1)[
        : n // size
    ]:
        batch = data.rows(chosen)
        loss = squared_loss(state.model(batch.x), batch.label)
        state.optimizer.zero_grad()
        # the sum, so that each network has the gradient that it has alone
        loss.sum().backward()
        state.optimizer.step()
        losses.append(loss.detach())
    return losses


@torch.inference_mode()
def evaluate(model: Networks, data: Batch) -> dict[str, list[float]]:
    """Error, and squared loss relative to that of the constant 1 / CLASSES; one number
    per network each.
    """
    output = model(data.x)
    error = (output.argmax(dim=2) != data.label).double().mean(dim=1)
    loss = squared_loss(output, data.label) / (1 - 1 / CLASSES)
    return {"error": error.tolist(), "loss": loss.tolist()}


def train_width(
    config: NetworkConfig,
    width: int,
    n: int,
    draws: Sequence[Draw],
    seeds: Sequence[int],
    checkpoint: Path | None = None,
) -> tuple[Networks, dict[str, list[list[float]]]]:
    """Train the networks of one width on the first n samples. Returns them and their
    curves, one list per evaluation.

    A list holds one number per network: for each seed, in turn, one per noise level.
    """
    data = stack(
        [
            (item.x[:n], item.noisy(noise)[:n])
            for item in draws
            for noise in config.noise
        ]
    )
    test = _test(config, draws)
    state, epochs = build(config, width, seeds, data.x.shape[2]), config.epochs(n)

    def to_next_evaluation() -> dict[str, list[float]]:
        for _ in range(
            epochs[state.epoch] - (epochs[state.epoch - 1] if state.epoch else 0)
        ):
            train_epoch(state, data, config.batch_size)
        return {
            f"{part}_{name}": numbers
            for part, rows in (("train", data), ("test", test))
            for name, numbers in evaluate(state.model, rows).items()
        }

    description = f"width {width}, {n} samples, {len(data.label)} networks"
    return state.model, training.fit(
        state, len(epochs), to_next_evaluation, checkpoint, description
    )


def train_networks(
    config: NetworkConfig, seeds: Sequence[int], checkpoints: Path
) -> Result:
    """All widths and numbers of samples, one after the other."""
    x, label = digits.load()
    draws = [draw(x, label, max(config.samples), seed) for seed in seeds]
    test = _test(config, draws)
    curves: Curves = {}
    answers: dict[str, Tensor] = {}
    for width in config.widths:
        for n in config.samples:
            checkpoint = checkpoints / f"{width}-{n}.safetensors"
            model, found = train_width(config, width, n, draws, seeds, checkpoint)
            answers[f"{width}/{n}{BITS}"] = pack(mistaken(model, test))
            for metric, values in found.items():
                per_network = np.array(values).T.reshape(
                    len(seeds), len(config.noise), -1
                )
                for i, noise in enumerate(config.noise):
                    curves[f"{metric}/{noise:g}/{width}/{n}"] = [
                        list(map(rounded, row)) for row in per_network[:, i]
                    ]
    weights = {name: value.half() for name, value in model.state_dict().items()}
    record = asdict(config)
    final, _ = evaluate_networks(seeds, record, weights)
    return Result(record, list(seeds), curves, {}, weights, answers=answers | final)


def _test(config: NetworkConfig, draws: Sequence[Draw]) -> Batch:
    """The test rows of each network."""
    return stack(
        [(item.x_test, item.label_test) for item in draws for _ in config.noise]
    )


@torch.inference_mode()
def mistaken(model: Networks, data: Batch) -> Tensor:
    """Which answers are wrong: (networks, rows)."""
    return model(data.x).argmax(dim=2) != data.label


def evaluate_networks(
    seeds: Sequence[int],
    record: Record,
    weights: Mapping[str, Tensor],
    draws: int | None = 1,
) -> tuple[dict[str, Tensor], DataFile]:
    """Which answers of the recorded networks, the largest on the most samples, are
    wrong.
    """
    del draws
    config = NetworkConfig(**record)
    x, label = digits.load()
    data = [draw(x, label, max(config.samples), seed) for seed in seeds]
    model = Networks(config, config.widths[-1], x.shape[1], seeds, len(config.noise))
    model.load_state_dict({name: value.float() for name, value in weights.items()})
    return {f"recorded{BITS}": pack(mistaken(model, _test(config, data)))}, digits.FILE


def score_networks(
    record: Record, curves: Curves, answers: Answers
) -> tuple[Summary, Curves]:
    """Test errors of the recorded networks. Raises ValueError for curves that are of
    another length, or end elsewhere than the answers say.
    """
    config = NetworkConfig(**record)
    rows = len(digits.load()[1]) - max(config.samples)
    errors = {
        name: unpack(bits, rows).double().mean(dim=1) for name, bits in answers.items()
    }
    for name, values in curves.items():
        metric, noise, width, n = name.split("/")
        if any(len(curve) != len(config.epochs(int(n))) for curve in values):
            raise ValueError(f"{name} has not one number for each evaluation")
        if metric == "test_error":
            ends = [curve[-1] for curve in values]
            first = list(config.noise).index(float(noise))
            told = errors[f"{width}/{n}{BITS}"][first :: len(config.noise)].tolist()
            if not np.allclose(ends, told, atol=2 / rows):
                raise ValueError(f"{name} ends at {ends}, its answers give {told}")
    final = errors[f"recorded{BITS}"]
    return {
        f"test_error {noise:g}": final[i :: len(config.noise)].tolist()
        for i, noise in enumerate(config.noise)
    }, {}


def networks_canary(record: Record) -> list[float]:
    """Losses of the first epoch of the smallest and the largest networks of a config,
    on synthetic data.
    """
    config = NetworkConfig(**record)
    n = 3 * config.batch_size
    draws, losses = [synthetic(n)], []
    data = stack(
        [(item.x, item.noisy(noise)) for item in draws for noise in config.noise]
    )
    for width in (config.widths[0], config.widths[-1]):
        losses += train_epoch(build(config, width, [0]), data, config.batch_size)
    return torch.cat(losses).tolist()


def rounded(value: float) -> float:
    """Four significant digits, which keeps the records small."""
    return float(f"{value:.4g}")


# --- the critical point ---

# training error, or loss relative to that of a constant, that counts as fitting all
# samples
LEVEL = 0.01
PROMINENCE = (
    0.02  # how far a test curve must fall on both sides of a peak; less may be chance
)


def critical_point(
    x: ArrayLike, train: ArrayLike, level: float = LEVEL
) -> float | None:
    """The interpolation threshold: from there on the training error stays at or below
    `level`.

    Between two points log x is interpolated. None where the error is above the level at
    the last point, or at or below it at all points: then the threshold is not within
    the range. Where x is the number of samples, give both reversed.
    """
    x, train = np.asarray(x, dtype=float), np.asarray(train, dtype=float)
    above = np.flatnonzero(train > level)
    if not above.size or above[-1] == len(x) - 1:
        return None
    last = above[-1]
    share = (train[last] - level) / (train[last] - train[last + 1])
    return float(np.exp(np.interp(share, [0, 1], np.log(x[[last, last + 1]]))))


def peak(
    x: Sequence[float], test: ArrayLike, prominence: float = PROMINENCE
) -> float | None:
    """Where the test error peaks: the most prominent maximum that is no end point; None
    where there is none.

    The prominence of a maximum is how far the curve falls on both sides of it before it
    rises higher, the smaller of the two.
    """
    peaks, found = find_peaks(test, prominence=prominence)
    return float(x[peaks[np.argmax(found["prominences"])]]) if peaks.size else None


# --- experiments ---

SEEDS = [211, 212, 213, 214, 215]
FEATURES = FeaturesConfig()
WIDTHS = NetworkConfig()
SAMPLES = NetworkConfig(
    widths=(23,),
    samples=(100, 130, 170, 220, 280, 350, 420, 500, 600, 750, 950, 1300),
    evaluations=1,
)


def _networks(config: NetworkConfig) -> Experiment:
    return Experiment(
        config=asdict(config),
        data=digits.FILE,
        train=partial(train_networks, config, SEEDS),
        canary=networks_canary,
        evaluate=partial(evaluate_networks, SEEDS),
        score=score_networks,
        once=partial(train_networks, config, SEEDS[:1]),
        seeds=SEEDS,
    )


EXPERIMENTS = {
    "features": Experiment(
        config=asdict(FEATURES),
        data=digits.FILE,
        train=partial(train_features, FEATURES, SEEDS),
        canary=features_canary,
        evaluate=partial(evaluate_features, SEEDS),
        score=score_features,
        once=partial(train_features, FEATURES, SEEDS[:1]),
        seeds=SEEDS,
    ),
    "widths": _networks(WIDTHS),
    "samples": _networks(SAMPLES),
}
