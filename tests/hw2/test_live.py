"""What the notebook's trainings need besides: resumed epochs, and the band of what was
recorded.
"""

import json
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from hw2 import live
from hw2.live import UnexpectedError
from hw2.training import State, TrainingError


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Writes recorded results where the notebook has them, of the same data."""
    monkeypatch.setattr(live, "other_data", False)

    def write(**quick):
        file = tmp_path / "recorded.json"
        recipes = {
            name: {"values": values, "like": [values]} for name, values in quick.items()
        }
        file.write_text(json.dumps({"quick": recipes, "full": {}}))
        monkeypatch.setattr(live, "RECORDED", file)
        live.recorded.cache_clear()

    yield write
    live.recorded.cache_clear()


def test_a_new_training_is_in_the_band_but_for_the_chance(monkeypatch):
    monkeypatch.setattr(
        live.stats.t, "ppf", cache(live.stats.t.ppf)
    )  # slow, and asked often
    rng = np.random.default_rng(0)
    for seeds, new in ((3, 1), (5, 1), (3, 3)):
        outside = 0
        for _ in range(20_000):
            values, other = rng.normal(0.8, 0.01, (2, seeds))
            recipe = {"values": list(values), "like": [list(values), list(other)]}
            low, high = live.band(recipe, new)
            outside += not low <= rng.normal(0.8, 0.01, new).mean() <= high
        assert abs(outside - 20) < 4 * 20**0.5


def test_what_has_no_chance_in_it_is_compared_closely():
    low, high = live.band({"values": [0.787], "like": [[0.787]]})
    assert (low, high) == (pytest.approx(0.785), pytest.approx(0.789))


def test_a_result_is_printed_beside_the_recorded_seeds(recorded, capsys):
    recorded(accuracy=[0.79, 0.80, 0.81])
    live.compare("accuracy", 0.803)
    printed = capsys.readouterr().out
    assert "accuracy: 80.30% in this run" in printed
    assert "recorded: 80.00 +- 1.00% (3 seeds)" in printed


def test_a_result_outside_the_band_raises(recorded):
    recorded(accuracy=[0.790, 0.791, 0.792, 0.793])
    with pytest.raises(UnexpectedError, match=r"accuracy: 81\.50% is outside"):
        live.compare("accuracy", 0.815)
    with pytest.raises(UnexpectedError):
        live.compare("accuracy", 0.70)


def test_without_a_live_result_the_recorded_one_is_marked_as_such(recorded, capsys):
    recorded(accuracy=[0.79, 0.80, 0.81])
    live.compare("accuracy")
    assert "RECORDED, not run here: 80.00 +- 1.00%" in capsys.readouterr().out


def test_with_another_copy_of_the_data_what_is_outside_is_told(
    recorded, monkeypatch, capsys
):
    recorded(accuracy=[0.79, 0.80, 0.81])
    monkeypatch.setattr(live, "other_data", True)
    live.compare("accuracy", 0.3)
    assert "outside of it: this run has another copy" in capsys.readouterr().out
    live.compare("accuracy", 0.8)
    assert "outside" not in capsys.readouterr().out


def test_changes_are_paired(recorded):
    recorded(better=[0.80, 0.85], worse=[0.79, 0.83])
    told = live.change("better", "worse")
    assert told == "+1.00, +2.00 percentage points (2 seeds)"


# --- epochs ---


def train(total, stop=None, rate=0.1):
    """A small training that draws at random. It ends, as if killed, in epoch `stop`."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), rate, momentum=0.9)
    state = State(model, optimizer, torch.optim.lr_scheduler.LinearLR(optimizer))
    for epoch in live.epochs(state, total, "small"):
        torch.manual_seed(epoch)
        optimizer.zero_grad()
        loss = model(torch.randn(5, 3)).square().mean()
        loss.backward()
        optimizer.step()
        state.scheduler.step()
        if epoch == stop:
            raise KeyboardInterrupt
        state.note(loss=loss.item())
    return model.weight.detach(), state.curves["loss"]


def test_a_killed_training_goes_on_to_the_same_end(tmp_path, monkeypatch):
    whole, losses = train(5)
    monkeypatch.setenv("HW2_CHECKPOINTS", str(tmp_path / "checkpoints"))
    with pytest.raises(KeyboardInterrupt):
        train(5, stop=3)
    again, found = train(5)
    assert torch.equal(again, whole)
    assert found == losses
    # all is done: nothing is trained any more
    assert torch.equal(train(5, stop=0)[0], whole)


def test_another_training_of_the_same_name_begins_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("HW2_CHECKPOINTS", str(tmp_path))
    train(2)
    with pytest.raises(KeyboardInterrupt):
        train(2, stop=0, rate=0.2)


def test_a_damaged_checkpoint_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("HW2_CHECKPOINTS", str(tmp_path))
    train(2)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match="is no checkpoint of this network"):
        train(2)


def test_the_bar_ends_as_one_line_of_the_output(capsys):
    train(3)
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.count("\n") == 1
    assert "3/3" in printed.out.split("\r")[-1]
