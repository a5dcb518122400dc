"""Checkpoints: a training that was stopped goes on to the very same numbers, and a bad
checkpoint is refused.
"""

import errno
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import nn

from hw2 import training

EPOCHS, STEPS, ROWS = 6, 5, 16


pytestmark = pytest.mark.usefixtures("one_thread")


class Stop(Exception):
    """The training was stopped from outside."""


def sgd(model):
    optimizer = torch.optim.SGD(
        model.parameters(), 0.05, momentum=0.9, nesterov=True, weight_decay=1e-3
    )
    return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, EPOCHS * STEPS
    )


def adamw(model):
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1]},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, 0.01, weight_decay=0.05)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.01, EPOCHS * STEPS
    )


def fused_adamw(model):
    optimizer = torch.optim.AdamW(model.parameters(), 0.01, fused=True, amsgrad=True)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.9**step
    )


RECIPES = [sgd, adamw, fused_adamw]


def build(
    recipe=sgd, width: int = 8, generators: int = 2, seed: int = 1
) -> training.State:
    """A network with dropout (PyTorch's random numbers) and with BatchNorm, whose
    buffers train too.
    """
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(3, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(width, 1),
    )
    return training.State(
        model,
        *recipe(model),
        [np.random.default_rng(seed + i) for i in range(generators)],
    )


def epoch_of(state: training.State, stop_at: int | None = None):
    """One epoch on rows and noise from the two generators; the training is stopped in
    the middle of one of them.
    """

    def epoch() -> dict[str, object]:
        losses = []
        for step in range(STEPS):
            if state.epoch == stop_at and step == 2:
                raise Stop
            x = torch.tensor(
                state.generators[0].standard_normal((ROWS, 3)), dtype=torch.float32
            )
            y = x.sum(1, keepdim=True) + torch.tensor(
                state.generators[1].random((ROWS, 1)), dtype=torch.float32
            )
            loss = (state.model(x) - y).square().mean()
            state.optimizer.zero_grad()
            loss.backward()
            state.optimizer.step()
            state.scheduler.step()
            losses.append(loss.item())
        return {"loss": sum(losses) / STEPS, "both": [losses[0], losses[-1]]}

    return epoch


def train(
    state: training.State, file: Path | None = None, stop_at: int | None = None
) -> dict[str, list]:
    return training.fit(state, EPOCHS, epoch_of(state, stop_at), file)


def stopped(file: Path, stop_at: int = 3, recipe=sgd) -> None:
    with pytest.raises(Stop):
        train(build(recipe), file, stop_at)


# --- curves ---


def test_the_curves_are_those_of_a_plain_loop():
    state, plain = build(), build()
    epoch, expected = epoch_of(plain), []
    torch.manual_seed(5)
    for _ in range(EPOCHS):
        expected.append(epoch())
    torch.manual_seed(5)
    assert train(state) == {
        name: [numbers[name] for numbers in expected] for name in ("loss", "both")
    }
    assert state.epoch == EPOCHS
    assert all(
        torch.equal(a, b)
        for a, b in zip(state.model.parameters(), plain.model.parameters(), strict=True)
    )


def test_a_checkpoint_changes_no_number(tmp_path):
    assert train(build(), tmp_path / "a.safetensors") == train(build())


def test_the_checkpoint_is_written_after_each_epoch_and_stays(tmp_path):
    file, seen = tmp_path / "deep" / "a.safetensors", []
    state = build()
    epoch = epoch_of(state)

    def watched():
        if file.exists():
            with safe_open(file, "pt") as content:
                seen.append(json.loads(content.metadata()["numbers"])["epoch"])
        return epoch()

    training.fit(state, EPOCHS, watched, file)
    assert seen == [1, 2, 3, 4, 5]
    assert [path.name for path in file.parent.iterdir()] == ["a.safetensors"]


def test_a_finished_training_is_not_trained_again(tmp_path):
    file = tmp_path / "a.safetensors"
    curves, state = train(build(), file), build(seed=2)

    def never():
        raise AssertionError("trained again")

    assert training.fit(state, EPOCHS, never, file) == curves


# --- going on ---


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("stops", [(3,), (1, 2, 5)])
def test_a_stopped_training_goes_on_to_the_same_bits(tmp_path, recipe, stops):
    whole = build(recipe)
    expected, file = train(whole), tmp_path / "a.safetensors"
    random = torch.rand(3)
    for stop_at in stops:
        with pytest.raises(Stop):
            train(build(recipe), file, stop_at)
    state = build(recipe, seed=9)  # whose first weights and random numbers are others
    assert train(state, file) == expected
    assert torch.equal(torch.rand(3), random)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(state.model.state_dict()[name], value), name
    found, momenta = (s.optimizer.state_dict() for s in (state, whole))
    assert found["state"].keys() == momenta["state"].keys()
    for index, values in momenta["state"].items():
        assert all(
            torch.equal(found["state"][index][name], value)
            for name, value in values.items()
        )
    assert state.scheduler.get_last_lr() == whole.scheduler.get_last_lr()
    assert [g.random() for g in state.generators] == [
        g.random() for g in whole.generators
    ]


def test_without_its_random_numbers_a_training_would_end_elsewhere(tmp_path):
    """What the test above relies on: dropout and the data depend on what is
    restored.
    """
    for forget in ("torch", "numpy"):
        file = tmp_path / f"{forget}.safetensors"
        stopped(file)
        state = build()
        state.load(file)
        if forget == "torch":
            torch.manual_seed(0)
        else:
            state.generators[0].random()
        training.fit(state, EPOCHS, epoch_of(state))
        whole = build()
        train(whole)
        assert not torch.equal(state.model[0].weight, whole.model[0].weight)


def test_more_epochs_go_on_from_a_finished_training(tmp_path):
    file, state = tmp_path / "a.safetensors", build()
    training.fit(state, 2, epoch_of(state), file)
    state = build()
    assert train(state, file) == train(build())


# --- what is refused ---

DAMAGES = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[:-7],
    "no header": lambda content: b"\xff" * 64,
    "no checkpoint": lambda content: safetensors.torch.save({"a": torch.zeros(1)}),
    "no numbers": lambda content: safetensors.torch.save(
        {"a": torch.zeros(1)}, {"numbers": "{}"}
    ),
    "no JSON": lambda content: safetensors.torch.save(
        {"a": torch.zeros(1)}, {"numbers": "{"}
    ),
    "a list": lambda content: safetensors.torch.save(
        {"a": torch.zeros(1)}, {"numbers": "[]"}
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused_and_stays(tmp_path, damage):
    file = tmp_path / "a.safetensors"
    stopped(file)
    content = DAMAGES[damage](file.read_bytes())
    file.write_bytes(content)
    with pytest.raises(
        training.TrainingError,
        match=r"(?s)a.safetensors is no checkpoint of this network .* remove it",
    ):
        train(build(), file)
    assert file.read_bytes() == content


def without(part):
    """A checkpoint without one of its parts."""

    def damage(file):
        with safe_open(file, "pt") as content:
            numbers = json.loads(content.metadata()["numbers"])
        tensors = safetensors.torch.load_file(file)
        numbers.pop(part, None)
        kept = {
            name: value for name, value in tensors.items() if not name.startswith(part)
        }
        assert len(numbers) + len(kept) < 6 + len(tensors)
        safetensors.torch.save_file(kept, file, {"numbers": json.dumps(numbers)})

    return damage


@pytest.mark.parametrize(
    "part",
    ["epoch", "curves", "groups", "scheduler", "generators", "torch", "model.0.bias"],
)
def test_a_checkpoint_that_lacks_a_part_is_refused(tmp_path, part):
    file = tmp_path / "a.safetensors"
    stopped(file)
    without(part)(file)
    with pytest.raises(
        training.TrainingError, match=r"a.safetensors is no checkpoint of this network"
    ):
        train(build(), file)


@pytest.mark.parametrize(
    "other",
    [{"width": 9}, {"generators": 3}, {"recipe": adamw}],
    ids=["width", "generators", "optimizer"],
)
def test_a_checkpoint_of_another_training_is_refused_and_stays(tmp_path, other):
    file = tmp_path / "a.safetensors"
    stopped(file)
    content = file.read_bytes()
    with pytest.raises(
        training.TrainingError, match=r"a.safetensors is no checkpoint of this network"
    ):
        train(build(**other), file)
    assert file.read_bytes() == content


# --- writing ---


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    file = tmp_path / "a.safetensors"
    stopped(file, 2)
    before, write = file.read_bytes(), Path.write_bytes

    def full(path, content):
        write(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        train(build(), file)
    monkeypatch.undo()
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
    assert train(build(), file) == train(build())


def test_what_a_killed_process_left_is_no_checkpoint(tmp_path):
    file = tmp_path / "a.safetensors"
    (tmp_path / f".{file.name}.123").write_bytes(b"half")
    assert train(build(), file) == train(build())


def test_a_loss_that_is_no_number_goes_on_as_it_is(tmp_path):
    file = tmp_path / "a.safetensors"
    state = build()
    training.fit(state, 1, lambda: {"loss": math.nan}, file)
    state = build()
    curves = training.fit(state, 2, lambda: {"loss": 1.0}, file)
    assert math.isnan(curves["loss"][0])
    assert curves["loss"][1] == 1.0


def test_the_device_is_one_that_this_machine_has():
    """A PyTorch that was built for GPUs names one also where there is none."""
    device = training.pick_device()
    assert (torch.ones(2, device=device) + 1).sum().item() == 4
    assert (device.type == "cpu") == (not torch.accelerator.is_available())
