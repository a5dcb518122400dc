"""Task 3: a residual network without BatchNorm that tells the ten classes of Imagenette
apart at 64 x 64.

The recipe, top to bottom: hyper-parameters, model, augmentation, training, evaluation,
experiments. The data set lives on the device as bytes, and whatever happens to images
happens there, to a whole batch at once.
"""

import copy
import hashlib
import inspect
import json
import math
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import kornia.augmentation as K
import numpy as np
import pandas as pd
import torch
from safetensors.torch import save
from torch import Tensor, distributed, nn
from torch.nn.functional import (
    conv2d,
    cross_entropy,
    group_norm,
    interpolate,
    one_hot,
)
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm import tqdm

from hw2 import training
from hw2.answers import BITS, pack, unpack
from hw2.data import DataFile, imagenette
from hw2.data.imagenette import NAMES, SIDE, Images
from hw2.tasks import Answers, Curves, Experiment, Result, Summary, check_epochs


@dataclass(frozen=True)
class Config:
    """Every hyper-parameter of the network and its training."""

    widths: tuple[int, ...] = (
        32,
        64,
        128,
        256,
    )  # channels of the stages; each stage halves the resolution
    blocks: tuple[int, ...] = (1, 1, 1, 1)  # residual blocks of the stages
    groups: int = 8  # of GroupNorm
    # whether filters come in pairs of mirror images, so that an image and its mirror
    # image get the same answer
    symmetric: bool = False
    pooling: str = (
        "average"  # of 2 x 2 pixels, where a stage but the first halves the resolution
    )
    activation: str = "silu"
    dropout: float = 0.4  # of the features that the classifier sees
    branch_dropout: float = 0.15  # of whole channels within a residual branch
    stochastic_depth: float = (
        0.0  # chance that an image skips the last residual block; less for earlier ones
    )
    optimizer: str = "muon"
    learning_rate: float = 0.05  # the largest of the one-cycle schedule
    momentum: float = 0.9  # Nesterov's
    weight_decay: float = 0.1  # on weights, not on the gains and biases
    warmup: float = 0.2  # share of the steps in which the learning rate rises
    label_smoothing: float = 0.1
    # decay per step of the moving average of the weights, which is the network that is
    # evaluated
    ema: float = 0.99
    batch_size: int = 64
    epochs: int = 12
    augmentation: tuple[str, ...] = ()
    sides: tuple[int, ...] = (
        SIDE,
    )  # to train on, each for an equal part of the epochs; smaller is quicker

    def __post_init__(self) -> None:
        choices: list[tuple[str, Collection[str]]] = [
            (self.activation, ACTIVATIONS),
            (self.pooling, POOLINGS),
            (self.optimizer, OPTIMIZERS),
            *((name, AUGMENTATIONS) for name in self.augmentation),
        ]
        for value, known in choices:
            if value not in known:
                raise ValueError(
                    f"{value!r} is unknown, expected one of {', '.join(known)}"
                )
        if len(self.widths) != len(self.blocks):
            raise ValueError(
                f"{len(self.widths)} widths and {len(self.blocks)} numbers of blocks; "
                "give one per stage"
            )
        if min(self.sides) < 2 ** len(self.widths):
            raise ValueError(
                f"{min(self.sides)} pixels cannot be halved {len(self.widths)} times; "
                "change sides"
            )
        if odd := [width for width in self.widths if width % self.groups]:
            raise ValueError(
                f"a stage of {odd[0]} channels cannot be normalized in {self.groups} "
                "groups; change groups"
            )
        if self.symmetric and self.groups % 2:
            raise ValueError(
                f"{self.groups} groups cannot be mirrored in pairs; change groups"
            )
        if self.symmetric and (
            odd := [side for side in self.sides if side % 2 ** len(self.widths)]
        ):  # of which pooling drops the last column
            raise ValueError(
                f"{odd[0]} pixels halved {len(self.widths)} times are no whole number, "
                "and mirrored another part of them counts; change sides"
            )


POOLINGS = {"average": nn.AvgPool2d, "maximum": nn.MaxPool2d}
ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "mish": nn.Mish}


# --- model ---


def unit(images: Tensor) -> Tensor:
    """Images as floats in [0, 1], from bytes or from such floats. Raises ValueError for
    others.
    """
    if images.dtype == torch.uint8:
        return images.float() / 255
    if images.is_floating_point() and images.min() >= 0 and images.max() <= 1:
        return images
    raise ValueError(
        f"images are {images.dtype} in [{images.min()}, {images.max()}], expected "
        "uint8 or floats in [0, 1]"
    )


class Normalize(nn.Module):
    """Images in [0, 1] to mean 0 and variance 1 in each channel of the training set."""

    mean: Tensor
    std: Tensor

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        std, mean = zip(
            *(torch.std_mean(unit(channel)) for channel in images.unbind(1)),
            strict=True,
        )
        self.register_buffer("mean", torch.stack(mean).view(3, 1, 1))
        self.register_buffer("std", torch.stack(std).view(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class MirroredConv2d(nn.Conv2d):
    """A 3 x 3 convolution without bias, whose second half of filters are the mirror
    images of the first half (a group convolution, Cohen and Welling 2016).

    Of a mirrored image it makes the mirrored channels, with the halves exchanged. What
    follows reads channels in such halves: there the mirrored filters have theirs
    exchanged as well. The module's weights are those of the first half.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out // 2, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mirrored = self.weight.flip(3)
        if self.in_channels != 3:  # the colours of an image come in no halves
            mirrored = mirrored.roll(self.in_channels // 2, 1)
        return conv2d(x, torch.cat([self.weight, mirrored]), padding=1)


class MirroredGroupNorm(nn.GroupNorm):
    """Norm with the same gains and biases for both halves of the channels."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__(groups, channels)
        self.weight = nn.Parameter(torch.ones(channels // 2))
        self.bias = nn.Parameter(torch.zeros(channels // 2))

    def forward(self, x: Tensor) -> Tensor:
        gains, biases = self.weight.repeat(2), self.bias.repeat(2)
        return group_norm(x, self.num_groups, gains, biases, self.eps)


class MaxOfHalves(nn.Module):
    """(N, 2c) to (N, c): of each channel and its mirrored one the larger, which does
    not change when the halves change places.
    """

    def forward(self, x: Tensor) -> Tensor:
        return torch.maximum(*x.chunk(2, 1))


class Residual(nn.Module):
    """x + branch(x), after an activation. An image skips the branch in training with a
    chance of `skip`.

    He et al. (2016); the skipping is that of Huang et al. (2016), the branch starts as
    zero as in Goyal et al. (2017), and whole channels are dropped in it (Tompson et al.
    2015).
    """

    def __init__(self, channels: int, config: Config, skip: float) -> None:
        super().__init__()
        self.first, self.second = (
            convolution(channels, channels, config),
            convolution(channels, channels, config),
        )
        self.first_norm, self.second_norm = (norm(channels, config) for _ in range(2))
        nn.init.zeros_(self.second_norm.weight)
        self.activation, self.dropout = (
            ACTIVATIONS[config.activation](),
            nn.Dropout2d(config.branch_dropout),
        )
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        branch = self.dropout(self.activation(self.first_norm(self.first(x))))
        branch = self.second_norm(self.second(branch))
        if self.training and self.skip:
            kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.skip
            branch = branch * kept / (1 - self.skip)
        return self.activation(x + branch)


class Stage(nn.Sequential):
    """Half the resolution, more channels, and residual blocks: (N, c, s, s) to (N, c',
    s/2, s/2).

    The pooling comes before the convolution, which then costs a quarter. Only the three
    colours are not reduced: of them the first stage makes channels, and takes their
    maximum.
    """

    def __init__(
        self, channels_in: int, channels: int, config: Config, skips: Sequence[float]
    ) -> None:
        layer = convolution(channels_in, channels, config)
        super().__init__(
            *(
                (layer, nn.MaxPool2d(2))
                if channels_in == 3
                else (POOLINGS[config.pooling](2), layer)
            ),
            norm(channels, config),
            ACTIVATIONS[config.activation](),
            *(Residual(channels, config, skip) for skip in skips),
        )


class Network(nn.Module):
    """Images in [0, 1] (N, 3, 64, 64) to logits (N, 10); normalizes by the mean and
    variance of training `images`.
    """

    def __init__(self, config: Config, images: Tensor) -> None:
        super().__init__()
        self.normalize = Normalize(images)
        skips = iter(
            torch.linspace(0, config.stochastic_depth, sum(config.blocks)).tolist()
        )
        channels = (3, *config.widths)
        self.stages = nn.Sequential(
            *(
                Stage(
                    channels[i],
                    channels[i + 1],
                    config,
                    [next(skips) for _ in range(blocks)],
                )
                for i, blocks in enumerate(config.blocks)
            )
        )
        self.head = nn.Sequential(
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
            *([MaxOfHalves()] if config.symmetric else []),
            nn.Dropout(config.dropout),
            nn.Linear(channels[-1] // (1 + config.symmetric), len(NAMES)),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.normalize(x).contiguous(memory_format=torch.channels_last)
        return self.head(self.stages(x))


def convolution(channels_in: int, channels_out: int, config: Config) -> nn.Conv2d:
    """3 x 3, without the bias, which the norm after it has. Weights: He et al.
    (2015).
    """
    if config.symmetric:
        layer: nn.Conv2d = MirroredConv2d(channels_in, channels_out)
    else:
        layer = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return layer


def norm(channels: int, config: Config) -> nn.GroupNorm:
    """GroupNorm of a layer's channels."""
    kind = MirroredGroupNorm if config.symmetric else nn.GroupNorm
    return kind(config.groups, channels)


def layers(network: Network) -> pd.DataFrame:
    """A row for each layer that has parameters or changes the shape: layer, kind,
    output (shape), parameters.
    """
    rows = []

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            parameters = sum(parameter.numel() for parameter in module.parameters())
            if parameters or output.shape != inputs[0].shape:
                shape = " x ".join(map(str, output.shape[1:]))
                rows.append(
                    {
                        "layer": name,
                        "kind": type(module).__name__,
                        "output": shape,
                        "parameters": parameters,
                    }
                )

        return hook

    leaves = [
        (name, module)
        for name, module in network.named_modules()
        if not list(module.children())
    ]
    hooks = [module.register_forward_hook(note(name)) for name, module in leaves]
    with torch.inference_mode():
        network(torch.zeros(1, 3, SIDE, SIDE, device=network.normalize.mean.device))
    for hook in hooks:
        hook.remove()
    return pd.DataFrame(rows)


# --- augmentation ---

AUGMENTATIONS: dict[str, Callable[[], nn.Module]] = {
    "shift": lambda: K.RandomCrop((SIDE, SIDE), padding=8, padding_mode="reflect"),
    "crop": lambda: K.RandomResizedCrop(
        (SIDE, SIDE), scale=(0.35, 1.0), cropping_mode="resample"
    ),
    "flip": lambda: K.RandomHorizontalFlip(),
    "affine": lambda: K.RandomAffine(10.0, shear=8.0, padding_mode="reflection", p=0.5),
    "color": lambda: K.ColorJiggle(0.3, 0.3, 0.3, 0.05, p=0.8),
    "erase": lambda: K.RandomErasing(scale=(0.02, 0.25), p=0.5),
    "mixup": lambda: K.RandomMixUpV2(data_keys=["input", "class"], p=0.5),
    "cutmix": lambda: K.RandomCutMixV2(
        data_keys=["input", "class"], use_correct_lambda=True, p=0.5
    ),
    "noise": lambda: K.RandomGaussianNoise(std=0.1, p=0.5),  # the sum is not clamped
}
# kornia's "lambda" is what the other image gets in one of them and what the image
# itself keeps in the other
MIXING: dict[str, Callable[[Tensor], Tensor]] = {
    "mixup": lambda other: other,
    "cutmix": lambda own: 1 - own,
}


class Augmentation(nn.Module):
    """Random transforms (kornia) of a batch, each image its own: bytes or floats in [0,
    1] to floats in [0, 1], but for noise, after which nothing is clamped.

    Labels (N) become the probabilities (N, 10) to learn, which share a mixed image out
    between its two sources.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.transforms = nn.ModuleDict({name: AUGMENTATIONS[name]() for name in names})

    @torch.no_grad()
    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        x, targets = unit(images), one_hot(labels, len(NAMES)).float()
        for name, transform in self.transforms.items():
            if name in MIXING:
                # mixed "labels" are (row, row it is mixed with, lambda): given so,
                # transforms can follow
                x, mixed = transform(x, torch.arange(len(x), device=x.device))
                _, other, share = mixed.view(-1, 3).unbind(1)
                targets = targets.lerp(
                    targets[other.long()], MIXING[name](share)[:, None]
                )
            else:
                x = transform(x)
        return x, targets


def shrink(x: Tensor, config: Config, epoch: int) -> Tensor:
    """Images (N, 3, 64, 64) at the resolution of an epoch (progressive resizing, Howard
    et al. 2018).
    """
    side = config.sides[len(config.sides) * epoch // config.epochs]
    return (
        x
        if side == SIDE
        else interpolate(x, (side, side), mode="bilinear", antialias=True)
    )


# --- training ---


class Muon(torch.optim.Optimizer):
    """Momentum with steps of equal length in all directions of a weight matrix (Jordan
    et al. 2024).

    A convolution's weights are the matrix fan_out x fan_in; gains and biases take steps
    of plain Nesterov momentum. torch.optim.Muon, which gives the same steps, takes
    nothing but matrices and computes in bfloat16 on any processor.
    """

    def __init__(
        self,
        params: Any,
        lr: float,
        momentum: float,
        weight_decay: float,
        nesterov: bool = True,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
            },
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                average = self.state[weight].setdefault(
                    "momentum_buffer", torch.zeros_like(weight)
                )
                average.lerp_(weight.grad, 1 - group["momentum"])
                update = (
                    weight.grad.lerp(average, group["momentum"])
                    if group["nesterov"]
                    else average
                )
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                if weight.ndim > 1:
                    fan_out, fan_in = update.flatten(1).shape
                    update = (
                        orthogonalize(update.flatten(1)).view_as(weight)
                        * max(1, fan_out / fan_in) ** 0.5
                    )
                weight.sub_(update, alpha=group["lr"])


def orthogonalize(matrix: Tensor, steps: int = 5) -> Tensor:
    """About UV' of the singular value decomposition USV', by Newton and Schulz's
    iteration (Jordan et al. 2024).

    Each iteration multiplies by a polynomial in the Gram matrix. We collect these and
    multiply once at the end: the other side of a convolution's matrix is much longer.
    """
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / x.norm().clamp(min=1e-7)
    gram, identity = x @ x.T, torch.eye(len(x), device=x.device)
    collected = identity
    for _ in range(steps):
        factor = 3.4445 * identity - 4.7750 * gram + 2.0315 * gram @ gram
        gram, collected = factor @ gram @ factor, factor @ collected
    x = collected @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "muon": Muon,
}


def compute_type(device: torch.device) -> torch.dtype:
    """bfloat16 where the processor multiplies it faster than float32, else float32.

    That is from compute capability 8 on (NVIDIA Ampere), and on CPUs with the
    instructions AVX512-BF16 or AMX.
    """
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        told = getattr(torch.cpu, "get_capabilities", dict)  # PyTorch 2.8 has it not
        abilities: dict[str, Any] = told() if device.type == "cpu" else {}
        fast = any(abilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return torch.bfloat16 if fast else torch.float32


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """The context in which what gains from it is computed in `precision`; none where
    that is float32.
    """
    return torch.autocast(device.type, precision, enabled=precision != torch.float32)


def reseed(*numbers: int) -> None:
    """Seed PyTorch on all devices, as each epoch does, so that a resumed training draws
    what the killed one drew.

    NumPy fills up with zeros: (211), (211, 0) and (211, 0, 0) are one stream, from
    which the weights, the first order and what follows on the first process are drawn,
    each in another way. The recorded networks were drawn so.
    """
    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))


def build(
    config: Config, seed: int, data: Images, start: Mapping[str, Tensor] | None = None
) -> training.State[nn.ModuleDict]:
    """Network, average of its weights, optimizer and schedule, on the device of the
    data; with the weights of `start` where there are such.

    Raises ValueError where the data are less than a batch, or a batch cannot be shared
    out between the processes.
    """
    if len(data) < config.batch_size:
        raise ValueError(
            f"{len(data)} training images are less than one batch of "
            f"{config.batch_size}; lower batch_size"
        )
    if config.batch_size % training.world_size():
        raise ValueError(
            f"{training.world_size()} processes cannot share batches of "
            f"{config.batch_size}; change either"
        )
    reseed(seed)
    network = Network(config, data.images)
    if start is not None:
        network.load_state_dict(start)
    network = network.to(data.images.device)
    network = network.to(memory_format=torch.channels_last)
    model = nn.ModuleDict(
        {"network": network, "average": copy.deepcopy(network).requires_grad_(False)}
    )
    groups = [
        {
            "params": [
                parameter for parameter in network.parameters() if parameter.ndim > 1
            ]
        },
        {
            "params": [
                parameter for parameter in network.parameters() if parameter.ndim == 1
            ],
            "weight_decay": 0.0,
        },
    ]
    optimizer = OPTIMIZERS[config.optimizer](
        groups,
        lr=config.learning_rate,
        momentum=config.momentum,
        nesterov=True,
        weight_decay=config.weight_decay,
    )
    steps = config.epochs * (len(data) // config.batch_size)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        config.learning_rate,
        steps,
        pct_start=config.warmup,
        cycle_momentum=False,
    )
    return training.State(model, optimizer, scheduler)


def batches(images: int, size: int) -> list[Tensor]:
    """One epoch in random order: the rows of each batch of `size` images that are this
    process's share.
    """
    order = torch.randperm(images).split(size)[: images // size]
    return [rows[training.rank() :: training.world_size()] for rows in order]


def step(
    config: Config,
    state: training.State[nn.ModuleDict],
    forward: Callable[[Tensor], Tensor],
    x: Tensor,
    targets: Tensor,
    precision: torch.dtype = torch.float32,
) -> Tensor:
    """One step on images as floats and the probabilities to learn. Returns (loss
    without smoothing, right answers).
    """
    with autocast(x.device, precision):
        logits = forward(x)
    logits = logits.float()
    state.optimizer.zero_grad()
    cross_entropy(logits, targets, label_smoothing=config.label_smoothing).backward()
    state.optimizer.step()
    state.scheduler.step()
    weights, averages = (
        list(state.model[name].parameters()) for name in ("network", "average")
    )
    get_ema_multi_avg_fn(config.ema)(averages, weights, 0)
    right = (logits.argmax(1) == targets.argmax(1)).float().mean()
    return torch.stack([cross_entropy(logits.detach(), targets), right])


def trainer(
    config: Config,
    seed: int,
    data: Images,
    validation: Images | None = None,
    start: Mapping[str, Tensor] | None = None,
) -> tuple[training.State[nn.ModuleDict], Callable[[], dict[str, float]]]:
    """A new training on the device of the data, and what trains one epoch of it and
    returns its numbers.

    Those are `train_loss` and `train_accuracy` (of the batches as they were trained
    on), and `validation_loss` and `validation_accuracy` where there are such images.
    """
    device, precision = data.images.device, compute_type(data.images.device)
    state = build(config, seed, data, start)
    network = state.model["network"]
    forward: Callable[..., Tensor] = network
    augment = Augmentation(config.augmentation).to(device)
    if training.world_size() > 1:
        # its buffers, the mean and deviation of the images, never change
        known = inspect.signature(DistributedDataParallel).parameters
        parallel = partial(DistributedDataParallel, network)
        if "forward_sync_buffers" in known:
            forward = parallel(forward_sync_buffers=False)
        else:  # as older versions name it
            forward = parallel(broadcast_buffers=False)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        forward = torch.compile(forward)
        with autocast(device, precision):  # compiles now, for the whole resolution
            forward(
                unit(data.images[: config.batch_size // training.world_size()])
            ).sum().backward()

    def epoch() -> dict[str, float]:
        network.train()
        reseed(seed, state.epoch)
        order = batches(len(data), config.batch_size)
        reseed(
            seed, state.epoch, training.rank()
        )  # the order is that of all processes, what follows is not
        total = torch.zeros(2, device=device)
        with _bar(len(order) * config.batch_size) as bar:
            for count, rows in enumerate(order, 1):
                batch = data[rows.to(device)]
                x, targets = augment(batch.images, batch.labels)
                total += step(
                    config,
                    state,
                    forward,
                    shrink(x, config, state.epoch),
                    targets,
                    precision,
                )
                bar.update(config.batch_size)
                if (
                    not bar.disable and count % 16 == 0
                ):  # not always: to read numbers is to wait for the device
                    bar.set_postfix(
                        loss=f"{total[0] / count:.4f}",
                        accuracy=f"{total[1] / count:.4f}",
                    )
        if training.world_size() > 1:
            distributed.all_reduce(total)
        loss, accuracy = (total / (len(order) * training.world_size())).tolist()
        numbers = {"train_loss": loss, "train_accuracy": accuracy}
        if validation is not None:
            loss, accuracy = loss_and_accuracy(
                predict(state.model["average"], validation.images), validation.labels
            )
            numbers |= {"validation_loss": loss, "validation_accuracy": accuracy}
        return numbers

    return state, epoch


def train(
    config: Config,
    seed: int,
    data: Images,
    validation: Images | None = None,
    checkpoints: Path | None = None,
    start: Mapping[str, Tensor] | None = None,
) -> tuple[nn.Module, dict[str, list[float]]]:
    """Train a network on the device of the data, from the weights of `start` if there
    are such. Returns it with its averaged weights, and its curves over the epochs.

    With a folder for checkpoints, a killed training resumes. In processes that torchrun
    started, all train this one network. Raises TrainingError where the memory is too
    small.
    """
    with _memory_remedy(config, data.images.device):
        state, epoch = trainer(config, seed, data, validation, start)
        name = f"{_digest(config, seed, data, start)}.safetensors"
        checkpoint = checkpoints and checkpoints / name
        curves = training.fit(state, config.epochs, epoch, checkpoint, f"seed {seed}")
    return state.model["average"], curves


@contextmanager
def _memory_remedy(config: Config, device: torch.device) -> Iterator[None]:
    """Turn the errors of PyTorch's allocators into one that says what to do."""
    try:
        yield
    except RuntimeError as error:
        if not any(
            part in str(error)
            for part in ("out of memory", "allocate memory", "not enough memory")
        ):
            raise
        raise training.TrainingError(
            f"the memory of {device} is too small for batches of {config.batch_size} "
            f"images and widths {config.widths} "
            f"({str(error).splitlines()[0]}); close what else uses it, or lower "
            f"batch_size or widths in {__file__}"
        ) from error


def _bar(images: int) -> tqdm:
    silent = None if training.rank() == 0 else True
    return tqdm(
        total=images,
        desc="epoch",
        unit="img",
        unit_scale=True,
        leave=False,
        disable=silent,
    )


def _digest(
    config: Config, seed: int, data: Images, start: Mapping[str, Tensor] | None
) -> str:
    """Names the checkpoint of one training among all others."""
    images = imagenette.digest(data.to(torch.device("cpu")))
    begun = []
    if start:
        weights = save({name: value.contiguous() for name, value in start.items()})
        begun = [hashlib.sha256(weights).hexdigest()]
    content = json.dumps([asdict(config), seed, images, *begun])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


# --- evaluation ---


@torch.inference_mode()
def predict(network: nn.Module, images: Tensor, mirrored: bool = False) -> Tensor:
    """Logits (N, 10) in float32, on the CPU, of images (N, 3, 64, 64) in bytes or in
    floats in [0, 1].

    With `mirrored` they are the mean of those of an image and of its mirror image.
    """
    network.eval()
    logits = torch.cat(
        [network(unit(part)).cpu() for part in images.split(_evaluated_at_once(images))]
    )
    return (logits + predict(network, images.flip(3))) / 2 if mirrored else logits


def _evaluated_at_once(images: Tensor) -> int:
    """Images in a batch: so many that a GPU is busy, so few that a CPU's cache holds
    them (twice as fast as 512).
    """
    return 64 if images.device.type == "cpu" else 1024


def loss_and_accuracy(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Cross-entropy and share of right answers."""
    labels = labels.cpu()
    return cross_entropy(logits, labels).item(), (
        logits.argmax(1) == labels
    ).double().mean().item()


def accuracy_of(network: nn.Module, data: Images, mirrored: bool = False) -> float:
    """Share of right answers."""
    return loss_and_accuracy(predict(network, data.images, mirrored), data.labels)[1]


@torch.inference_mode()
def right_in_noise(network: nn.Module, data: Images, level: float, draw: int) -> Tensor:
    """Which answers (N) are right where `level` N(0, 1) is added to the images in [0,
    1], before their normalization.

    The sum is not clamped to [0, 1]. All levels and networks see the same draws of N(0,
    1), whose generator has the seed `draw`.
    """
    network.eval()
    generator, right = torch.Generator().manual_seed(draw), []
    for images, labels in zip(
        data.images.split(_evaluated_at_once(data.images)),
        data.labels.split(_evaluated_at_once(data.images)),
        strict=True,
    ):
        noise = torch.randn(images.shape, generator=generator).to(images.device)
        right.append(network(unit(images) + level * noise).argmax(1) == labels)
    return torch.cat(right).cpu()


# --- experiments ---

SEEDS = [211, 212, 213]
CONSTANT = Config()  # all epochs at 64 x 64, at about the cost of PLAIN
PLAIN = Config(sides=(32, 48, 64), epochs=21, learning_rate=0.1)
AUGMENTED = replace(
    PLAIN,
    augmentation=("shift", "flip", "erase"),
    weight_decay=0.05,
    dropout=0.2,
    branch_dropout=0.0,
)
# what AUGMENTED's transforms change by themselves, and its regularization
UNTRANSFORMED = replace(AUGMENTED, augmentation=())
LONG = replace(AUGMENTED, epochs=60)
SYMMETRIC = replace(CONSTANT, symmetric=True, epochs=20)
WIDE = replace(SYMMETRIC, widths=(32, 96, 192, 384))
# of 5, 6 and 9 such epochs 6 were the fewest with two points to spare above 78 % on the
# validation images
FAST = replace(PLAIN, epochs=6, dropout=0.2, branch_dropout=0.0)
# a few more epochs of AUGMENTED, in which every second image has twice the assignment's
# largest noise
NOISY = replace(
    AUGMENTED,
    augmentation=(*AUGMENTED.augmentation, "noise"),
    sides=(SIDE,),
    epochs=4,
    learning_rate=0.02,
)
NOISE, DRAWS = (0.005, 0.01, 0.05), 3  # the assignment's levels
NOISE_GRID = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
ENCODED = (95, 75)  # qualities of JPEG, at which test images are saved once more
SHOWN = {"seed": SEEDS[0], "examples": 5}  # which and how many training images
MISTAKES = 24  # images that the report shows


def load(device: torch.device) -> imagenette.Imagenette:
    """The data on a device. Of several processes the first one decodes, the others read
    what it has stored.
    """
    if training.rank() == 0:
        found = imagenette.load()
    if training.world_size() > 1:
        distributed.barrier()
        if training.rank() > 0:
            found = imagenette.load()
    return found._replace(train=found.train.to(device), test=found.test.to(device))


def divide(train: Images) -> tuple[Images, Images]:
    """The training and the validation part of the training images, on their device."""
    training_rows, validation_rows = imagenette.split(train.labels.cpu())
    device = train.labels.device
    return train[training_rows.to(device)], train[validation_rows.to(device)]


def final(config: Config, mirrored: bool = False) -> Experiment:
    """The experiment of parts 3 to 5: curves on 90 % of the training images, and the
    answers to the test images after training on all.

    With `mirrored` there are also the answers to an image and its mirror image
    together.
    """

    def run(checkpoints: Path, seeds: Sequence[int] = SEEDS) -> Result:
        device = training.pick_device()
        if device.type == "cpu":
            print(
                f"PyTorch finds no GPU: {2 * len(seeds)} trainings of {config.epochs} "
                "epochs take hours on the CPU. "
                "Run this where there is one, or let it run: a killed training goes on "
                "where it was",
                file=sys.stderr,
            )
        data = load(device)
        part, validation = divide(data.train)
        curves: Curves = {}
        summary: dict[str, float | list[float]] = {}
        weights: dict[str, Tensor] = {}
        both: list[float] = []
        for seed in seeds:
            partial_network, found = train(config, seed, part, validation, checkpoints)
            network, _ = train(config, seed, data.train, None, checkpoints)
            weights |= {
                f"network.{seed}.{name}": value.half()
                for name, value in network.state_dict().items()
            }
            if mirrored:
                both.append(accuracy_of(partial_network, validation, mirrored))
            for name, curve in found.items():
                curves.setdefault(name, []).append(curve)
        if mirrored:
            summary["validation_accuracy_mirrored"] = both
        answers = answer(config, weights, mirrored)
        return Result(
            asdict(config),
            list(seeds),
            curves,
            summary,
            weights,
            device,
            answers,
            data.archive,
        )

    return Experiment(
        config=asdict(config),
        data=imagenette.FILE,
        train=run,
        canary=canary,
        evaluate=partial(evaluate_final, mirrored=mirrored),
        score=score_final,
        once=partial(run, seeds=SEEDS[:1]),
        copies=(imagenette.OFFICIAL,),
        seeds=SEEDS,
    )


def answer(
    config: Config, weights: dict[str, Tensor], mirrored: bool = False
) -> dict[str, Tensor]:
    """All answers of networks that were just trained, which are those of their weights
    as they are recorded; the `mistakes` become part of the weights.
    """
    answers, _ = evaluate_final(asdict(config), weights, None, mirrored)
    for name in [name for name in answers if name.startswith("mistakes.")]:
        weights[name] = answers.pop(name)
    return answers


def of_seed(weights: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """The state of the network of one seed, from all recorded weights."""
    prefix = f"network.{seed}."
    return {
        name.removeprefix(prefix): value
        for name, value in weights.items()
        if name.startswith(prefix)
    }


def on_all(
    config: Config,
    checkpoints: Path,
    base: Mapping[str, Tensor] | None = None,
    seeds: Sequence[int] = SEEDS,
) -> Result:
    """Train networks on all training images, from the recorded weights of `base` if
    there are such: curves of that, and the answers to the test images after it.
    """
    data = load(training.pick_device())
    curves: Curves = {}
    weights: dict[str, Tensor] = {}
    for seed in seeds:
        start = {n: value.float() for n, value in of_seed(base or {}, seed).items()}
        network, found = train(
            config, seed, data.train, checkpoints=checkpoints, start=start or None
        )
        for name, curve in found.items():
            curves.setdefault(name, []).append(curve)
        for name, value in network.state_dict().items():
            weights[f"network.{seed}.{name}"] = value.half()
    answers = answer(config, weights)
    device = data.train.images.device
    return Result(
        asdict(config), list(seeds), curves, {}, weights, device, answers, data.archive
    )


def answered(config: Config, base: str = "") -> Experiment:
    """The experiment of networks that are trained on all training images, from the
    recorded weights of `base` if it is named, and answer to the test images.
    """
    train = partial(on_all, config)
    return Experiment(
        config=asdict(config),
        data=imagenette.FILE,
        train=train,
        canary=canary,
        evaluate=evaluate_final,
        score=score_final,
        once=partial(train, seeds=SEEDS[:1]),
        copies=(imagenette.OFFICIAL,),
        seeds=SEEDS,
        base=base,
    )


def evaluate_final(
    config: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    draws: int | None = 1,
    mirrored: bool = False,
) -> tuple[dict[str, Tensor], DataFile]:
    """What recorded weights answer to the test images, and the archive of these.

    For each seed: its `classes` (N) with their probabilities, `confidence`, and the
    logarithm of that of the true class, `truth`; the classes of an image and its mirror
    image together; which answers in noise are right, for so many draws (None: for all,
    and for all levels of NOISE_GRID, and for the images as they are when they are
    `encoded` once more, where they can be). Of the first seed the `mistakes`.
    """
    data = load(training.pick_device())
    test, labels = data.test, data.test.labels.cpu()
    network = Network(from_record(config), data.train.images[:1]).to(test.images.device)
    found = {"labels": labels.byte()}
    encoded = draws is None and data.archive == imagenette.FILE and imagenette.at_hand()
    seeds = sorted({int(name.split(".")[1]) for name in weights if "network." in name})
    for seed in tqdm(seeds, "evaluating", unit="network", disable=None):
        network.load_state_dict(of_seed(weights, seed))
        logits = predict(network, test.images)
        confidence, classes = logits.softmax(1).max(1)
        truth = logits.log_softmax(1).gather(1, labels[:, None]).squeeze(1)
        mine = {"classes": classes.byte(), "confidence": confidence, "truth": truth}
        if mirrored:
            both = logits + predict(network, test.images.flip(3))
            mine["mirrored"] = both.argmax(1).byte()
        for level, draw in noises(draws):
            right = right_in_noise(network, test, level, draw)
            mine[f"noise.{level:g}.{draw}{BITS}"] = pack(right)
        if encoded:
            mine |= right_when_encoded(network, labels)
        found |= {f"{seed}.{name}": value for name, value in mine.items()}
        if seed == SEEDS[0]:
            found |= mistakes(logits, test)
    return found, data.archive


def noises(draws: int | None) -> list[tuple[float, int]]:
    """Levels and draws of the noise: so many draws at the assignment's levels; None
    for all, and one draw at the other levels of NOISE_GRID.
    """
    found = [(level, d) for level in NOISE for d in range(DRAWS)]
    if draws is not None:
        return [(level, draw) for level, draw in found if draw < draws]
    return found + [(level, 0) for level in NOISE_GRID if level not in (0, *NOISE)]


def right_when_encoded(network: nn.Module, labels: Tensor) -> dict[str, Tensor]:
    """Which answers to the test images are right at each quality of ENCODED."""
    device = next(network.parameters()).device
    return {
        f"encoded.{quality}{BITS}": pack(
            predict(network, imagenette.encoded(quality).to(device)).argmax(1) == labels
        )
        for quality in ENCODED
    }


def score_final(
    config: Mapping[str, Any], curves: Curves, answers: Answers
) -> tuple[Summary, Curves]:
    """Accuracies and losses, confusions and the accuracy over the noise, from the
    answers; `noise_..._std` is that over the draws of the noise.

    Raises ValueError for curves of another length than the epochs.
    """
    check_epochs(config["epochs"], curves)
    labels = answers["labels"].long()
    summary: dict[str, list[float]] = {}
    found: Curves = {"confusion": [], "noise_level": [], "noise_accuracy": []}

    def accuracy(right: Tensor) -> float:
        return right.double().mean().item()

    def noisy(seed: str, level: float, draw: int) -> float:
        bits = answers[f"{seed}.noise.{level:g}.{draw}{BITS}"]
        return accuracy(unpack(bits, len(labels)))

    found_seeds = {name.split(".")[0] for name in answers if ".classes" in name}
    seeds = sorted(found_seeds, key=int)
    for seed in seeds:
        classes = answers[f"{seed}.classes"].long()
        clean = accuracy(classes == labels)
        numbers = {
            "test_loss": -answers[f"{seed}.truth"].double().mean().item(),
            "test_accuracy": clean,
        }
        if (both := answers.get(f"{seed}.mirrored")) is not None:
            numbers["test_accuracy_mirrored"] = accuracy(both.long() == labels)
        for level in NOISE:
            draws = [noisy(seed, level, draw) for draw in range(DRAWS)]
            numbers |= {
                f"noise_{level:g}": fmean(draws),
                f"noise_{level:g}_std": stdev(draws),
            }
        for quality in ENCODED:
            if (bits := answers.get(f"{seed}.encoded.{quality}{BITS}")) is not None:
                right = unpack(bits, len(labels))
                numbers[f"encoded_{quality}"] = accuracy(right)
        for name, number in numbers.items():
            summary.setdefault(name, []).append(number)
        found["confusion"].append(confusion(classes, labels).flatten().tolist())
        found["noise_level"].append(list(NOISE_GRID))
        found["noise_accuracy"].append(
            [noisy(seed, level, 0) if level else clean for level in NOISE_GRID]
        )
    if watched := curves.get("validation_accuracy"):
        summary["validation_accuracy"] = [curve[-1] for curve in watched]
    return summary, found


def confusion(classes: Tensor, labels: Tensor) -> Tensor:
    """How many images of each class (rows) were taken for each class (columns)."""
    return torch.bincount(
        len(NAMES) * labels + classes, minlength=len(NAMES) ** 2
    ).view(len(NAMES), -1)


def mistakes(logits: Tensor, data: Images) -> dict[str, Tensor]:
    """The wrong answers that were given with the most confidence: images, labels,
    answers and their probability.
    """
    confidence, answers = logits.softmax(1).max(1)
    labels = data.labels.cpu()
    rows = confidence.masked_fill(answers == labels, 0).topk(MISTAKES).indices
    found = {
        "images": data.images.cpu()[rows],
        "labels": labels[rows],
        "answers": answers[rows],
    }
    return {
        f"mistakes.{name}": value
        for name, value in (found | {"confidence": confidence[rows]}).items()
    }


def describe(_: Path) -> Result:
    """What the report shows of the data: counts, five training images, and one under
    each transform.
    """
    data = imagenette.load()
    reseed(SHOWN["seed"])
    rows = torch.randperm(len(data.train))[: SHOWN["examples"]]
    shown = data.train[rows]
    weights = {"examples.images": shown.images, "examples.labels": shown.labels}
    for name in AUGMENTATIONS:
        batch = (
            shown
            if name in MIXING
            else shown[torch.zeros(len(shown), dtype=torch.long)]
        )
        x, targets = Augmentation([name])(batch.images, batch.labels)
        weights |= {
            f"{name}.images": (255 * x.clamp(0, 1)).round().byte(),
            f"{name}.targets": targets,
        }
    curves = {
        part: [torch.bincount(images.labels, minlength=len(NAMES)).tolist()]
        for part, images in (("train_images", data.train), ("test_images", data.test))
    }
    summary = {"train_images": len(data.train), "test_images": len(data.test)}
    return Result(SHOWN, [SHOWN["seed"]], curves, summary, weights, data=data.archive)


def evaluate_shown(
    _: Mapping[str, Any], weights: Mapping[str, Tensor], draws: int | None = 1
) -> tuple[dict[str, Tensor], DataFile]:
    """The training images that are shown."""
    del weights, draws
    data = imagenette.load()
    reseed(SHOWN["seed"])
    shown = data.train[torch.randperm(len(data.train))[: SHOWN["examples"]]]
    return {
        "examples.images": shown.images,
        "examples.labels": shown.labels,
    }, data.archive


def transforms(base: Config) -> Experiment:
    """The ablation of the transforms: the validation curves of `base` without each of
    them, and without all.
    """
    configs = {
        f"without {name}": replace(
            base,
            augmentation=tuple(other for other in base.augmentation if other != name),
        )
        for name in base.augmentation
    }
    configs["without any"] = replace(base, augmentation=())
    return ablation(configs, ["without any"])


def ablation(
    configs: Mapping[str, Config],
    canaries: Sequence[str],
    seeds: Sequence[int] | None = None,
) -> Experiment:
    """The validation curves of some variants of a recipe, with the same seeds. The
    canary is that of those that are named in `canaries`.
    """
    config = {name: asdict(variant) for name, variant in configs.items()}
    seeds = seeds or SEEDS

    def run(checkpoints: Path, seeds: Sequence[int] = seeds) -> Result:
        device = training.pick_device()
        data = load(device)
        part, validation = divide(data.train)
        curves: Curves = {name: [] for name in configs}
        for seed in seeds:
            for name, variant in configs.items():
                _, found = train(variant, seed, part, validation, checkpoints)
                curves[name].append(found["validation_accuracy"])
        return Result(config, list(seeds), curves, {}, device=device, data=data.archive)

    return Experiment(
        config=config,
        data=imagenette.FILE,
        train=run,
        canary=lambda config: canary(*(config[name] for name in canaries)),
        score=score_ablation,
        once=partial(run, seeds=seeds[:1]),
        copies=(imagenette.OFFICIAL,),
        seeds=seeds,
    )


def score_ablation(
    config: Mapping[str, Any], curves: Curves, _: Answers
) -> tuple[Summary, Curves]:
    """The validation accuracies after the last epoch. Raises ValueError for curves of
    another length.
    """
    for name, variant in config.items():
        check_epochs(variant["epochs"], {name: curves[name]})
    return {name: [curve[-1] for curve in found] for name, found in curves.items()}, {}


def from_record(config: Mapping[str, Any]) -> Config:
    """A config as it was, from a recorded run."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in config.items()
    }
    return Config(**values)


def synthetic() -> Images:
    """Eight images of random squares, the same on all machines."""
    squares = np.random.default_rng(0).integers(0, 256, (8, 3, 8, 8), dtype=np.uint8)
    return Images(
        torch.from_numpy(squares.repeat(SIDE // 8, 2).repeat(SIDE // 8, 3)),
        torch.arange(8),
    )


def canary(*configs: Mapping[str, Any]) -> list[float]:
    """On a batch of synthetic images, on the CPU in float32: the losses of the first
    three steps of each config, then of each those of the averaged network after them,
    in the first epoch of each resolution.
    """
    steps, averages = zip(*(_canary(config) for config in configs), strict=True)
    return [*chain(*steps), *chain(*averages)]


def _canary(config: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    chosen, data = replace(from_record(config), batch_size=8), synthetic()
    with torch.random.fork_rng(devices=[]):
        state, augment = build(chosen, 0, data), Augmentation(chosen.augmentation)
        network, losses = state.model["network"], []
        for _ in range(3):
            x, targets = augment(data.images, data.labels)
            losses.append(
                step(chosen, state, network, shrink(x, chosen, 0), targets)[0].item()
            )
        average, x = state.model["average"].eval(), unit(data.images)
        count = len(chosen.sides)
        epochs = [math.ceil(i * chosen.epochs / count) for i in range(count)]
        with torch.inference_mode():
            seen = [average(shrink(x, chosen, epoch)) for epoch in epochs]
        return losses, [cross_entropy(logits, data.labels).item() for logits in seen]


def canary_of_transforms(_: Mapping[str, Any]) -> list[float]:
    """How much each transform changes the synthetic images, so that pictures of other
    transforms are stale.
    """
    data, changes = synthetic(), []
    with torch.random.fork_rng(devices=[]):
        for name in AUGMENTATIONS:
            reseed(0)
            x, _ = Augmentation([name])(data.images, data.labels)
            changes.append((x - unit(data.images)).abs().mean().item())
    return changes


EXPERIMENTS = {
    "data": Experiment(
        config=SHOWN,
        data=imagenette.FILE,
        train=describe,
        description=True,
        canary=canary_of_transforms,
        evaluate=evaluate_shown,
        copies=(imagenette.OFFICIAL,),
        seeds=[SHOWN["seed"]],
    ),
    "constant": final(CONSTANT),
    "plain": final(PLAIN),
    "augmented": final(AUGMENTED),
    # its curves on a part of the training images are those of "transforms"
    "untransformed": answered(UNTRANSFORMED),
    "transforms": transforms(AUGMENTED),
    "long": final(LONG, mirrored=True),
    # what LONG's epochs are worth without augmentation
    "length": ablation(
        {"without augmentation": replace(PLAIN, epochs=LONG.epochs)},
        ["without augmentation"],
    ),
    "noise": answered(NOISY, base="imagenette/augmented"),
    "symmetric": final(SYMMETRIC),
    # what SYMMETRIC's epochs are worth without its symmetry
    "asymmetric": ablation(
        {"without symmetry": replace(SYMMETRIC, symmetric=False)},
        ["without symmetry"],
    ),
    # and with mirrored training images in place of it
    "flips": ablation(
        {"with flips": replace(SYMMETRIC, symmetric=False, augmentation=("flip",))},
        ["with flips"],
    ),
    "wide": answered(WIDE),
}
