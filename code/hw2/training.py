"""What the tasks share when they train: epochs with a progress bar, curves, and
checkpoints that resume exactly.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, distributed, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from hw2.paths import write


class TrainingError(Exception):
    """Training cannot go on; the message says why, and what to do."""


def pick_device() -> torch.device:
    """The accelerator of this machine (CUDA or MPS), else the CPU."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device(
        "cpu"
    )


@contextmanager
def processes() -> Iterator[None]:
    """Work together with the other processes that `torchrun` started, each on its own
    GPU if there are any.

    Does nothing in a process that was started alone. Raises TrainingError for more
    processes than GPUs.
    """
    if "LOCAL_RANK" not in os.environ or distributed.is_initialized():
        yield
        return
    local, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if gpus:
        if local >= gpus:
            raise TrainingError(
                f"more processes than GPUs; start {gpus} at most: torchrun "
                f"--nproc-per-node={gpus} ..."
            )
        torch.cuda.set_device(local)
    distributed.init_process_group("nccl" if gpus else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """The number of this process among those that train together. Process 0 alone
    writes files.
    """
    return (
        distributed.get_rank()
        if distributed.is_available() and distributed.is_initialized()
        else 0
    )


def world_size() -> int:
    """How many processes train together."""
    return (
        distributed.get_world_size()
        if distributed.is_available() and distributed.is_initialized()
        else 1
    )


Model = TypeVar("Model", bound=nn.Module)


@dataclass
class State(Generic[Model]):
    """Everything that changes while a network trains, so that a checkpoint of it
    resumes to the same result.

    PyTorch's own random numbers on the CPU are always part of it; `generators` are
    those drawn from besides.
    """

    model: Model
    optimizer: Optimizer
    scheduler: LRScheduler
    generators: Sequence[np.random.Generator] = ()
    curves: dict[str, list[Any]] = field(
        default_factory=dict
    )  # name -> one entry per epoch
    epoch: int = 0  # epochs done

    def note(self, **numbers: Any) -> None:
        """Add an epoch's numbers to the curves."""
        for name, value in numbers.items():
            self.curves.setdefault(name, []).append(value)

    def save(self, file: Path) -> None:
        """Write a checkpoint in one step."""
        tensors = {
            f"model.{name}": value for name, value in self.model.state_dict().items()
        }
        for index, values in self.optimizer.state_dict()["state"].items():
            tensors |= {
                f"optimizer.{index}.{name}": value for name, value in values.items()
            }
        tensors["torch"] = torch.get_rng_state()
        numbers = {
            "epoch": self.epoch,
            "curves": self.curves,
            "groups": self.optimizer.state_dict()["param_groups"],
            "scheduler": self.scheduler.state_dict(),
            "generators": [
                generator.bit_generator.state for generator in self.generators
            ],
        }
        content = safetensors.torch.save(
            {name: value.detach().contiguous() for name, value in tensors.items()},
            {"numbers": json.dumps(numbers)},
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, content)

    def load(self, file: Path) -> None:
        """Continue from a checkpoint. Raises TrainingError for a file that is none, or
        that of another network.
        """
        try:
            with safe_open(file, "pt") as content:
                numbers = json.loads(content.metadata()["numbers"])
                names = content.keys()  # it is no mapping
                tensors = {name: content.get_tensor(name) for name in names}
            self.model.load_state_dict(_part(tensors, "model"))
            state: dict[int, dict[str, Tensor]] = {}
            for name, value in _part(tensors, "optimizer").items():
                index, key = name.split(".")
                state.setdefault(int(index), {})[key] = value
            self.optimizer.load_state_dict(
                {"state": state, "param_groups": numbers["groups"]}
            )
            self.scheduler.load_state_dict(numbers["scheduler"])
            for generator, drawn in zip(
                self.generators, numbers["generators"], strict=True
            ):
                generator.bit_generator.state = drawn
            torch.set_rng_state(tensors["torch"])
            self.curves, self.epoch = numbers["curves"], numbers["epoch"]
        except (
            SafetensorError,
            KeyError,
            TypeError,
            ValueError,
            RuntimeError,
        ) as error:
            raise TrainingError(
                f"{file} is no checkpoint of this network ({error}); remove it and run "
                "again"
            ) from None


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}."): value
        for name, value in tensors.items()
        if name.startswith(f"{prefix}.")
    }


def epochs(
    state: State,
    total: int,
    checkpoint: Path | None = None,
    description: str = "training",
    **settings: Any,
) -> Iterator[tqdm]:
    """Once for each epoch that is left to train, from the checkpoint where there is
    one: the progress bar, which has the settings.

    After each a checkpoint is written. It stays: whoever has stored the result removes
    it. Raises TrainingError for a damaged checkpoint.
    """
    if checkpoint is not None and checkpoint.is_file():
        state.load(checkpoint)
    settings |= {"total": total, "initial": state.epoch, "unit": "epoch"}
    with tqdm(desc=description, **settings) as bar:
        while state.epoch < total:
            yield bar
            state.epoch += 1
            if checkpoint is not None and rank() == 0:
                state.save(checkpoint)
            bar.update()


def fit(
    state: State,
    total: int,
    train_epoch: Callable[[], Mapping[str, Any]],
    checkpoint: Path | None = None,
    description: str = "training",
) -> dict[str, list[Any]]:
    """Train to `total` epochs, as `epochs` does. `train_epoch` trains one and returns
    its numbers, each a number or one per seed; the curves of these are returned, one
    entry per epoch.
    """
    silent = None if rank() == 0 else True
    for bar in epochs(state, total, checkpoint, description, disable=silent):
        numbers = train_epoch()
        state.note(**numbers)
        means = {name: torch.tensor(value).mean() for name, value in numbers.items()}
        bar.set_postfix({name: f"{mean:.4f}" for name, mean in means.items()})
    return state.curves
