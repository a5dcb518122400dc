"""Recording, reuse, resumption and audit of runs, on toy experiments: linear models of
four inputs, two seeds.
"""

import hashlib
import importlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import pytest
import safetensors.torch
import torch

from hw2 import experiments, runs
from hw2.answers import pack, unpack
from hw2.cli import main
from hw2.data import DataError

TOY = """
import os
import signal

import numpy as np
import torch

from hw2 import data, training
from hw2.answers import BITS, pack, unpack
from hw2.tasks import Experiment, Result


def no_source(path):
    raise OSError("no network here")


POINTS = b"21"  # the data: the seed of the test points
FILE = data.DataFile("points.txt", {digest!r}, len(POINTS), "https://example.org/points.txt", no_source)
# the same points, encoded anew: a little elsewhere
COPY = data.DataFile("copy.txt", {copy!r}, 3, "https://example.org/copy.txt", no_source)
CONFIG = {{"learning_rate": 0.1, "epochs": 4, "features": (0, 1, 2, 3)}}
SEEDS = [1, 2]
ROWS = 4000
KILL_AT = os.environ.get("TOY_KILL_AT")  # the epoch, over both seeds, in which the process is killed
epochs = []  # one entry for each epoch that this process has trained


def points(seed, rows=256):
    rng = np.random.default_rng(seed)
    x = torch.tensor(rng.standard_normal((rows, 4)), dtype=torch.float32)
    return x, (x[:, 0] > x[:, 1] * x[:, 2]).float()


def loss(logits, y):
    return torch.nn.functional.binary_cross_entropy_with_logits(logits.squeeze(1), y)


def build(config, seed):
    torch.manual_seed(seed)
    model = torch.nn.Linear(len(config["features"]), 1)
    optimizer = torch.optim.SGD(model.parameters(), config["learning_rate"], momentum=config.get("momentum", 0.9))
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config["epochs"])
    return training.State(model, optimizer, scheduler, [np.random.default_rng(seed)])


def step(state, x, y):
    value = loss(state.model(x), y)
    state.optimizer.zero_grad()
    value.backward()
    state.optimizer.step()
    return value.item()


def at_hand():
    file = COPY if (data.folder() / COPY.name).is_file() else FILE
    return file, data.locate(file).read_text()


def train(config, folder, seeds=SEEDS):
    file, _ = at_hand()
    x, y = points(7)
    curves, weights = [], {{}}
    for seed in seeds:
        state = build(config, seed)

        def epoch(state=state):
            epochs.append(seed)
            if len(epochs) == int(KILL_AT or 0):
                os.kill(os.getpid(), signal.SIGKILL)
            losses = [step(state, x[rows], y[rows]) for rows in np.split(state.generators[0].permutation(256), 8)]
            state.scheduler.step()
            return {{"train_loss": sum(losses) / len(losses)}}

        curves.append(training.fit(state, config["epochs"], epoch, folder / f"{{seed}}.safetensors")["train_loss"])
        weights |= {{f"{{seed}}.{{name}}": value for name, value in state.model.state_dict().items()}}
    answers, _ = evaluate(config, weights)
    return Result(
        config, list(seeds), {{"train_loss": curves}}, {{"parameters": 5}}, weights, answers=answers, data=file
    )


def canary(config):
    assert isinstance(config["features"], list), "a config as it is read from JSON has no tuples"
    state = build(config, 0)
    return [step(state, *points(0, 64)) for _ in range(3)]


def evaluate(config, weights, draws=1):
    file, content = at_hand()
    x, y = points(int(content[:2]), ROWS)
    x = x + 0.01 * len(content[2:]) * points(3, ROWS)[0]
    answers = {{}}
    for seed in sorted({{int(name[0]) for name in weights}} | {{SEEDS[0]}}):
        model = torch.nn.Linear(4, 1)
        model.load_state_dict({{name: weights[f"{{seed}}.{{name}}"] for name in ("weight", "bias")}})
        answers[f"{{seed}}.right{{BITS}}"] = pack((model(x).squeeze(1) > 0) == y.bool())
    return answers, file


def score(config, curves, answers):
    if any(len(curve) != config["epochs"] for curve in curves["train_loss"]):
        raise ValueError("curves")
    return {{"test_accuracy": [unpack(bits, ROWS).double().mean().item() for _, bits in sorted(answers.items())]}}, {{}}


def experiment(**changes):
    config = CONFIG | changes
    return Experiment(
        config=config,
        data=FILE,
        train=lambda folder: train(config, folder),
        canary=canary,
        evaluate=evaluate,
        score=score,
        once=lambda folder: train(config, folder, SEEDS[:1]),
        copies=(COPY,),
        seeds=SEEDS,
    )


EXPERIMENTS = {{"one": experiment(), "two": experiment(learning_rate=0.02)}}
""".format(
    digest=hashlib.sha256(b"21").hexdigest(), copy=hashlib.sha256(b"21c").hexdigest()
)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """The toy task, with its data at hand and all folders in `tmp_path`."""
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "points.txt").write_text("21")
    monkeypatch.setenv("HW2_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("HW2_DATA_MIRROR", raising=False)
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(experiments, "CHECKPOINTS", tmp_path / "checkpoints")
    monkeypatch.setattr(experiments, "REPEATED", tmp_path / "reproduced")
    monkeypatch.setattr(experiments, "PACKAGE", "")
    monkeypatch.setattr(experiments, "TASKS", {"toy": ("toy",)})
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("toy")
    del sys.modules["toy"]


@pytest.fixture
def recorded(toy):
    """The first toy experiment, recorded."""
    return experiments.record("toy/one")


def interrupted(toy, monkeypatch, epoch: int, key: str = "toy/one") -> None:
    """Train until an epoch, counted over both seeds, fails."""
    step = toy.step

    def failing(*arguments):
        if len(toy.epochs) == epoch:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(toy, "step", failing)
    with pytest.raises(KeyboardInterrupt):
        experiments.record(key)
    monkeypatch.setattr(toy, "step", step)
    toy.epochs.clear()


SCRIPT = """
import os, pathlib, sys
from hw2 import cli, experiments, runs

runs.RUNS, experiments.CHECKPOINTS = pathlib.Path(os.environ["RUNS"]), pathlib.Path(os.environ["CHECKPOINTS"])
experiments.PACKAGE, experiments.TASKS = "", {"toy": ("toy",)}
if os.environ.get("RANK", "0") != "0":
    runs.save = experiments._prepare = None  # to call them is an error
sys.exit(cli.main(["run", "toy/one"]))
"""


def start(tmp_path, **environment):
    """A process of its own that records the first toy experiment."""
    environment = {
        "PYTHONPATH": tmp_path,
        "CHECKPOINTS": tmp_path / "checkpoints",
        "OMP_NUM_THREADS": 1,
    } | environment
    environment = os.environ | {name: str(value) for name, value in environment.items()}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def edit(run, change, forged: bool = True) -> None:
    """Change a record, with the digest of what it is then or without."""
    record = json.loads(run.file.read_text())
    change(record)
    if forged:
        record["provenance"]["record_sha256"] = runs.digest(record)
    run.file.write_text(json.dumps(record))


def set_tensors(run, tensors, digest: bool = True, kind: str = "weights") -> None:
    """Put other weights or answers into the place of the recorded ones, with their
    digest in the run or without.
    """
    content = safetensors.torch.save(tensors)
    getattr(run, f"{kind}_file").write_bytes(content)
    if digest:
        found = hashlib.sha256(content).hexdigest()
        edit(run, lambda r: r["provenance"].update({f"{kind}_sha256": found}))


# --- recording ---


def test_a_recorded_run_is_read_back(toy, recorded, tmp_path):
    run = experiments.get("toy", "one")
    assert run == recorded
    assert run.config == {"learning_rate": 0.1, "epochs": 4, "features": [0, 1, 2, 3]}
    assert [len(curve) for curve in run.curves["train_loss"]] == [4, 4]
    accuracy, weights = run.summary["test_accuracy"], runs.load_weights(run)
    again, _ = toy.evaluate(run.config, weights)
    assert (
        accuracy["values"]
        == toy.score(run.config, run.curves, again)[0]["test_accuracy"]
    )
    assert "test_accuracy" not in runs.load("toy", "one").summary  # nothing twice
    assert accuracy["std"] == pytest.approx(
        torch.tensor(accuracy["values"], dtype=torch.float64).std().item()
    )
    assert min(accuracy["values"]) > 0.6
    assert run.summary["parameters"] == 5
    assert run.canary == toy.canary(run.config)
    assert run.provenance["data_sha256"] == toy.FILE.sha256
    assert run.provenance["device"].startswith("cpu: ")
    assert 0 <= run.provenance["seconds"] < 60
    assert not (tmp_path / "checkpoints" / "toy" / "one").exists()


def test_only_outdated_runs_are_trained(toy, capsys):
    assert main(["run"]) == 0
    assert len(toy.epochs) == 16
    out = capsys.readouterr().out
    accuracy = experiments.get("toy", "two").summary["test_accuracy"]
    assert "toy/one: training, " in out
    assert "one.json not found" in out
    assert (
        f"test_accuracy {100 * accuracy['mean']:.2f} ± {100 * accuracy['std']:.2f} %"
        in out
    )
    toy.epochs.clear()
    assert main(["run"]) == 0
    assert toy.epochs == []
    assert capsys.readouterr().out.count("nothing to do") == 2
    experiments.get("toy", "two").file.unlink()
    assert main(["run", "toy"]) == 0
    assert len(toy.epochs) == 8
    assert experiments.outdated("toy/two") == ""


def test_a_key_selects_one_experiment_and_force_trains_what_is_good(toy, recorded):
    toy.epochs.clear()
    assert main(["run", "toy/one", "--force"]) == 0
    assert len(toy.epochs) == 8
    assert "two.json not found" in experiments.outdated("toy/two")


def test_what_is_not_recorded_is_named_before_a_render(toy, recorded):
    experiments.record("toy/two")
    experiments.require()
    experiments.get("toy", "two").file.unlink()
    with pytest.raises(runs.RunError, match="has no toy/two; restore"):
        experiments.require()


def test_unknown_keys_name_the_known_ones(toy, capsys):
    for command in ("run", "audit"):
        assert main([command, "toy/three"]) == 1
        assert (
            "error: no experiment 'toy/three'; did you mean toy/two? There are the "
            "tasks toy and the experiments toy/one, toy/two\n"
            in capsys.readouterr().err
        )
        assert main([command, "to"]) == 1
    with pytest.raises(runs.RunError, match="no experiment 'toy/three'"):
        experiments.get("toy", "three")


def test_a_failed_experiment_does_not_keep_the_others_from_training(
    toy, capsys, monkeypatch
):
    monkeypatch.setitem(
        toy.EXPERIMENTS, "one", toy.experiment(learning_rate=float("inf"))
    )
    assert main(["run"]) == 1
    assert "error: toy/one: " in capsys.readouterr().err
    assert experiments.outdated("toy/two") == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda result: replace(result, config={"learning_rate": 0.3}),
            "trained with another config",
        ),
        (
            lambda result: replace(result, config=result.config | {"momentum": 0}),
            "momentum was 0, now there is none",
        ),
        (
            lambda result: replace(
                result, weights={k: -v for k, v in result.weights.items()}
            ),
            "are others than its weights as recorded",
        ),
        (lambda result: replace(result, weights={}), "cannot be evaluated"),
        (lambda result: replace(result, answers={}), "less than two|no standard"),
        (
            lambda result: replace(result, summary={"test_accuracy": 1.0}),
            "test_accuracy is stored, though it follows",
        ),
        (
            lambda result: replace(
                result, curves={"train_loss": [[1.0], [1.0, 0.9, 0.8, 0.7]]}
            ),
            "answers and curves do not fit together",
        ),
        (lambda result: replace(result, seeds=[1]), "2 values for 1 seeds"),
        (
            lambda result: replace(result, summary=result.summary | {"auc": [0.5]}),
            "no standard deviation",
        ),
    ],
)
def test_a_result_that_does_not_hold_is_not_recorded(
    toy, monkeypatch, tmp_path, change, message
):
    experiment = toy.experiment()
    wrong = replace(experiment, train=lambda folder: change(experiment.train(folder)))
    monkeypatch.setitem(toy.EXPERIMENTS, "one", wrong)
    with pytest.raises(runs.RunError, match=message):
        experiments.record("toy/one")
    assert list(tmp_path.glob("runs/toy/one*")) == []
    assert (tmp_path / "checkpoints" / "toy" / "one").is_dir()


def test_weights_of_a_run_that_has_none_any_more_are_removed(
    toy, recorded, monkeypatch
):
    assert recorded.weights_file.is_file()
    assert recorded.answers_file.is_file()
    experiment = toy.experiment()
    bare = replace(
        experiment,
        train=lambda folder: replace(experiment.train(folder), weights={}, answers={}),
        evaluate=None,
        score=None,
        config=toy.CONFIG,
    )
    monkeypatch.setitem(toy.EXPERIMENTS, "one", bare)
    run = experiments.record("toy/one", fresh=True)
    assert not run.weights_file.exists()
    assert not run.answers_file.exists()
    assert experiments.outdated("toy/one") == ""
    assert experiments.audit("toy/one").differences == []


# --- stale runs ---


def test_a_changed_hyper_parameter_makes_a_run_stale(
    toy, recorded, monkeypatch, capsys
):
    monkeypatch.setitem(toy.EXPERIMENTS, "one", toy.experiment(learning_rate=0.2))
    with pytest.raises(
        runs.RunError,
        match=r"one.json is stale: learning_rate was 0.1, now it is 0.2; train it again",
    ):
        experiments.get("toy", "one")
    assert main(["run", "toy/one"]) == 0
    assert "learning_rate was 0.1, now it is 0.2" in capsys.readouterr().out
    assert experiments.get("toy", "one").config["learning_rate"] == 0.2


def test_other_seeds_make_a_run_stale(toy, recorded, monkeypatch):
    other = replace(toy.experiment(), seeds=[7, 8, 9])
    monkeypatch.setitem(toy.EXPERIMENTS, "one", other)
    with pytest.raises(
        runs.RunError, match=r"one.json is stale: its seeds are .*, today's are \[7, 8"
    ):
        experiments.get("toy", "one")


@pytest.fixture
def further(toy, recorded, monkeypatch):
    """An experiment whose training goes on from the weights of the first."""
    given = []

    def train(folder, base, seeds=(1, 2)):
        given.append(base)
        return toy.train(toy.CONFIG, folder, list(seeds))

    further = replace(
        toy.experiment(),
        train=train,
        once=partial(train, seeds=(1,)),
        base="toy/one",
    )
    monkeypatch.setitem(toy.EXPERIMENTS, "two", further)
    return given


def test_a_training_goes_on_from_the_recorded_weights_of_another(
    toy, recorded, further, tmp_path
):
    run = experiments.record("toy/two", fresh=True)
    weights = runs.load_weights(recorded)
    assert further[0].keys() == weights.keys()
    assert all(torch.equal(further[0][name], weights[name]) for name in weights)
    assert run.provenance["base_sha256"] == recorded.provenance["weights_sha256"]
    assert experiments.get("toy", "two").summary == run.summary
    assert all(item.holds for item in experiments.repeat("toy/two", tmp_path / "again"))
    assert len(further) == 2


def test_other_weights_of_the_first_make_what_went_on_from_them_stale(
    toy, recorded, further
):
    experiments.record("toy/two", fresh=True)
    weights = {n: v + 0.001 for n, v in runs.load_weights(recorded).items()}
    runs.save(runs.load("toy", "one"), weights, runs.load_answers(recorded))
    with pytest.raises(
        runs.RunError, match=r"two.json is stale: the weights of toy/on"
    ):
        experiments.get("toy", "two")


def test_changed_training_code_makes_a_run_stale(toy, recorded, monkeypatch):
    loss = toy.loss
    monkeypatch.setattr(toy, "loss", lambda logits, y: loss(logits, 0.9 * y))
    with pytest.raises(
        runs.RunError, match=r"one.json is stale: its first losses were"
    ):
        experiments.get("toy", "one")
    assert main(["audit", "toy/one"]) == 1
    assert main(["run", "toy/one"]) == 0
    assert experiments.get("toy", "one").canary != recorded.canary


def test_a_new_hyper_parameter_is_adopted_where_it_leaves_the_training(
    toy, recorded, monkeypatch, capsys
):
    monkeypatch.setitem(toy.EXPERIMENTS, "one", toy.experiment(momentum=0.9))
    assert "it lacks momentum, which is 0.9 now" in experiments.outdated("toy/one")
    assert main(["run", "--adopt", "toy/one"]) == 0
    assert (
        "1 hyper-parameters and 0 losses of the canary added" in capsys.readouterr().out
    )
    found = experiments.get("toy", "one")
    assert found.config == recorded.config | {"momentum": 0.9}
    assert found.summary == recorded.summary
    assert main(["run", "--adopt", "toy/one"]) == 0
    assert "nothing to add" in capsys.readouterr().out


def test_a_canary_that_sees_more_is_adopted_where_it_begins_as_the_recorded_one(
    toy, recorded, monkeypatch, capsys
):
    def sees(*losses):
        wider = replace(toy.EXPERIMENTS["one"], canary=lambda config: list(losses))
        monkeypatch.setitem(toy.EXPERIMENTS, "one", wider)

    sees(*recorded.canary, 0.5)
    assert "its first losses were" in experiments.outdated("toy/one")
    assert main(["run", "--adopt", "toy/one"]) == 0
    assert "0 hyper-parameters and 1 losses" in capsys.readouterr().out
    found = experiments.get("toy", "one")
    assert found.canary == [*recorded.canary, 0.5]
    assert found.summary == recorded.summary
    sees(recorded.canary[0], 0.4, *recorded.canary[2:], 0.5, 0.5)
    assert main(["run", "--adopt", "toy/one"]) == 1
    assert experiments.runs.load("toy", "one").canary == found.canary


def test_a_hyper_parameter_that_changes_the_training_is_not_adopted(
    toy, recorded, monkeypatch, capsys
):
    monkeypatch.setitem(toy.EXPERIMENTS, "one", toy.experiment(momentum=0.5))
    assert main(["run", "--adopt", "toy/one"]) == 1
    assert "its first losses were" in capsys.readouterr().err
    monkeypatch.setitem(toy.EXPERIMENTS, "one", toy.experiment(epochs=5))
    assert main(["run", "--adopt", "toy/one"]) == 1
    assert "epochs was 4, now it is 5" in capsys.readouterr().err


def test_a_hyper_parameter_that_was_deleted_from_a_record_is_missed(toy, recorded):
    edit(recorded, lambda r: r["config"].pop("features"))
    assert "it lacks features" in experiments.outdated("toy/one")


def test_nested_hyper_parameters_are_compared():
    old = {"net": {"width": 8, "act": "relu"}, "seed": 1}
    assert (
        experiments._changes(
            old, {"net": {"width": 8, "act": "relu", "depth": 2}, "seed": 1}
        )
        == []
    )
    assert experiments._changes(old, {"net": {"width": 9}, "seed": 1}) == [
        "net.width was 8, now it is 9",
        "net.act was 'relu', now there is none",
    ]
    assert experiments._changes(old, {"net": 3, "seed": 1}) == [
        f"net was {old['net']!r}, now it is 3"
    ]


def test_a_run_on_other_data_is_stale(toy, recorded, monkeypatch):
    other = replace(toy.experiment(), data=replace(toy.FILE, sha256="0" * 64))
    monkeypatch.setitem(toy.EXPERIMENTS, "one", other)
    assert f"its data had SHA-256 {toy.FILE.sha256}" in experiments.outdated("toy/one")


def test_damaged_weights_are_a_reason_to_train(toy, recorded):
    recorded.weights_file.write_bytes(b"")
    assert "one.safetensors has SHA-256" in experiments.outdated("toy/one")
    recorded.weights_file.unlink()
    assert "one.safetensors not found" in experiments.outdated("toy/one")


# --- killed trainings ---


def test_a_killed_training_goes_on_to_the_same_weights(
    toy, monkeypatch, tmp_path, capsys
):
    expected = runs.load_weights(experiments.record("toy/one"))
    monkeypatch.setattr(runs, "RUNS", tmp_path / "again")
    toy.epochs.clear()
    process = start(tmp_path, RUNS=tmp_path / "again", TOY_KILL_AT="7")
    _, error = process.communicate()
    assert process.returncode == -9, error
    assert not list(tmp_path.glob("again/toy/*"))
    assert main(["run", "toy/one"]) == 0
    assert "goes on from the checkpoints in" in capsys.readouterr().out
    assert toy.epochs == [2, 2]
    found = runs.load_weights(experiments.get("toy", "one"))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_two_trainings_of_one_experiment_do_not_mix(toy, tmp_path):
    folder = tmp_path / "checkpoints" / "toy" / "one"
    with (
        experiments._alone(folder),
        pytest.raises(runs.RunError, match="another process trains this experiment"),
    ):
        experiments.record("toy/one")
    assert toy.epochs == []
    experiments.record("toy/one")


def test_of_two_processes_the_first_records(toy, monkeypatch, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    job = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    process = start(tmp_path, **job, RANK="1", LOCAL_RANK="1", RUNS=tmp_path / "runs")
    for name, value in (job | {"RANK": "0", "LOCAL_RANK": "0"}).items():
        monkeypatch.setenv(name, value)
    try:
        run = experiments.record("toy/one")
        _, error = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 0, error
    assert experiments.get("toy", "one") == run
    assert not (tmp_path / "checkpoints" / "toy" / "one").exists()


def test_the_seconds_of_a_resumed_training_are_those_that_led_to_the_result(
    toy, monkeypatch, tmp_path
):
    interrupted(toy, monkeypatch, 6)
    folder = tmp_path / "checkpoints" / "toy" / "one"
    note = json.loads((folder / "origin.json").read_text())
    for file in folder.glob("*.safetensors"):
        os.utime(file, (note["started"], note["started"] + 50))
    interrupted(toy, monkeypatch, 1)
    assert json.loads((folder / "origin.json").read_text())["seconds"] == pytest.approx(
        50
    )
    # killed again before the next checkpoint: what the second attempt took led to
    # nothing
    for file in folder.iterdir():
        os.utime(file, (0, 0))
    start = time.perf_counter()
    seconds = experiments.record("toy/one").provenance["seconds"]
    assert 50 <= seconds < 50.1 + time.perf_counter() - start


@pytest.mark.parametrize("change", ["config", "code", "data", "note"])
def test_checkpoints_of_something_else_are_not_used(
    toy, monkeypatch, tmp_path, capsys, change
):
    interrupted(toy, monkeypatch, 6)
    if change == "config":  # what the canary does not see
        monkeypatch.setitem(toy.EXPERIMENTS, "one", toy.experiment(epochs=5))
    elif change == "code":
        loss = toy.loss
        monkeypatch.setattr(toy, "loss", lambda logits, y: loss(logits, 0.9 * y))
    elif change == "data":
        monkeypatch.setitem(
            toy.EXPERIMENTS,
            "one",
            replace(toy.experiment(), data=replace(toy.FILE, sha256="0" * 64)),
        )
    else:
        (tmp_path / "checkpoints" / "toy" / "one" / "origin.json").write_text("")
    run = experiments.record("toy/one")
    assert len(toy.epochs) == 2 * run.config["epochs"]
    assert "they are of another config, code or data" in capsys.readouterr().out


def test_a_fresh_start_forgets_the_checkpoints(toy, monkeypatch, capsys):
    interrupted(toy, monkeypatch, 6)
    experiments.record("toy/one", fresh=True)
    assert len(toy.epochs) == 8
    assert "as asked" in capsys.readouterr().out


def test_a_damaged_checkpoint_is_refused_and_stays(toy, monkeypatch, tmp_path, capsys):
    interrupted(toy, monkeypatch, 6)
    file = tmp_path / "checkpoints" / "toy" / "one" / "2.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert main(["run", "toy/one"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: toy/one: {file} is no checkpoint of this network")
    assert file.is_file()
    assert main(["run", "toy/one", "--force"]) == 0


def test_a_kill_between_the_two_files_of_a_run_loses_nothing(
    toy, recorded, monkeypatch, capsys
):
    monkeypatch.setitem(toy.EXPERIMENTS, "one", toy.experiment(learning_rate=0.2))
    write = runs.write

    def full(file, content):
        if file.name == "one.json":
            file.with_name(f".{file.name}.123").write_bytes(content[:9])
            raise OSError(28, "No space left on device")
        write(file, content)

    monkeypatch.setattr(runs, "write", full)
    assert main(["run", "toy/one"]) == 1
    assert (
        "error: toy/one: [Errno 28] No space left on device" in capsys.readouterr().err
    )
    monkeypatch.setattr(runs, "write", write)
    toy.epochs.clear()
    assert main(["run", "toy/one"]) == 0
    assert toy.epochs == []  # the last checkpoint has it all
    assert experiments.get("toy", "one").config["learning_rate"] == 0.2
    assert sorted(file.name for file in recorded.file.parent.iterdir()) == [
        "one.answers.safetensors",
        "one.json",
        "one.safetensors",
    ]


# --- audit ---


def test_a_good_run_passes_the_audit(toy, recorded, capsys):
    found = experiments.audit("toy/one")
    assert [item[:3] for item in found.differences] == [
        ("1.right.bits", 4000, 0),
        ("2.right.bits", 4000, 0),
    ]
    assert (found.from_weights, found.from_record) == (["test_accuracy"], [])
    assert found.from_training == ["parameters", "train_loss"]
    assert main(["audit", "toy/one"]) == 0
    out = capsys.readouterr().out
    assert "2 tensors of answers: 0 of 8,000 entries differ" in out
    assert "from answers that the weights give again: test_accuracy" in out
    assert "1 of 1 runs audited" in out


def flipped(run, rows: int):
    """The recorded answers, those of the second seed changed in the first rows."""
    answers = runs.load_answers(run)
    right = unpack(answers["2.right.bits"], 4000)
    right[:rows] = ~right[:rows]
    return answers | {"2.right.bits": pack(right)}


def negated(run):
    return {name: -value for name, value in runs.load_weights(run).items()}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda run: set_tensors(run, flipped(run, 3), kind="answers"),
            r"one.json: of 4,000 entries of 2.right.bits 3 are others than its weights "
            r"give; restore the run's files from git",
        ),
        (lambda run: set_tensors(run, negated(run), digest=False), "SHA-256"),
        (lambda run: set_tensors(run, negated(run)), "others than its weights give"),
        (
            lambda run: set_tensors(run, {"1.weight": torch.ones(2)}),
            r"one.safetensors cannot be evaluated",
        ),
        (
            lambda run: run.file.write_text(run.file.read_text()[:-20]),
            "one.json is damaged",
        ),
        (lambda run: run.file.unlink(), "one.json not found"),
        (lambda run: run.answers_file.unlink(), "one.answers.safetensors not found"),
        (
            lambda run: edit(run, lambda r: r["summary"].update(parameters=6), False),
            "one.json was edited: its digest is not that of its content",
        ),
        (
            lambda run: edit(run, lambda r: r["summary"].update(test_accuracy=0.9)),
            "test_accuracy is stored, though it follows",
        ),
        (
            lambda run: edit(run, lambda r: r["curves"]["train_loss"][0].pop()),
            "do not fit together",
        ),
        (
            lambda run: set_tensors(
                run,
                (found := runs.load_answers(run))
                | {"3.right.bits": found["2.right.bits"].clone()},
                kind="answers",
            ),
            "one.json: test_accuracy has 3 values for 2 seeds",
        ),
        (
            lambda run: edit(
                run, lambda r: r["curves"]["train_loss"][0].__setitem__(1, -0.1)
            ),
            "train_loss is negative or no number",
        ),
        (
            lambda run: edit(
                run, lambda r: r["curves"].update(train_accuracy=[[0.5] * 4, [1.5] * 4])
            ),
            "train_accuracy is no share, between 0 and 1",
        ),
        (
            lambda run: edit(run, lambda r: r["provenance"].pop("data_sha256")),
            "its data had SHA-256 None",
        ),
    ],
)
def test_what_the_audit_refuses(recorded, capsys, damage, message):
    damage(recorded)
    assert main(["audit", "toy/one"]) == 1
    printed = capsys.readouterr()
    assert re.search(f"^error: .*{message}", printed.err, re.MULTILINE)
    assert "✗ " in printed.out


def test_the_rounding_of_another_processor_passes_the_audit(recorded):
    set_tensors(recorded, flipped(recorded, 2), kind="answers")
    assert main(["audit", "toy/one"]) == 0


def test_on_another_copy_of_the_data_both_numbers_are_told(
    toy, recorded, tmp_path, capsys
):
    (tmp_path / "data" / "copy.txt").write_text("21c")
    found = experiments.audit("toy/one")
    assert found.archive == toy.COPY
    (item,) = found.copied
    assert item.again != item.recorded
    assert item.holds
    changed = max(difference.changed for difference in found.differences)
    assert item.tolerance == pytest.approx(4 * changed**0.5 / 4000)
    assert main(["audit", "toy/one"]) == 0
    out = capsys.readouterr().out
    assert "recorded on another copy of the data than copy.txt" in out
    assert f"here {sum(item.again) / 2:.5f}; may differ by {item.tolerance:.5f}" in out

    set_tensors(recorded, flipped(recorded, 500), kind="answers")
    assert main(["audit", "toy/one"]) == 1
    assert "on copy.txt its weights give" in capsys.readouterr().err


def test_on_another_copy_of_the_data_most_answers_are_the_same(toy, recorded, tmp_path):
    (tmp_path / "data" / "copy.txt").write_text("21c")
    right = unpack(runs.load_answers(recorded)["2.right.bits"], 4000)
    # as many become right as wrong, so that the accuracy stays
    for rows in [(right == value).nonzero()[:250] for value in (True, False)]:
        right[rows] = ~right[rows]
    changed = runs.load_answers(recorded) | {"2.right.bits": pack(right)}
    set_tensors(recorded, changed, kind="answers")
    (item,) = experiments.audit("toy/one").copied
    assert abs(item.again[1] - item.recorded[1]) < item.tolerance
    assert item.changed > 0.1
    assert not item.holds


def test_a_run_on_either_copy_is_good_and_says_which_it_was(toy, tmp_path):
    (tmp_path / "data" / "points.txt").unlink()
    (tmp_path / "data" / "copy.txt").write_text("21c")
    run = experiments.record("toy/one")
    assert run.provenance["data_sha256"] == toy.COPY.sha256
    assert experiments.audit("toy/one").copied == []
    (tmp_path / "data" / "points.txt").write_text("21")
    (tmp_path / "data" / "copy.txt").unlink()
    assert experiments.audit("toy/one").archive == toy.FILE
    assert experiments.audit("toy/one").copied


def test_one_seed_is_trained_again(toy, recorded, monkeypatch, capsys):
    toy.epochs.clear()
    assert main(["audit", "--reproduce", "toy/one"]) == 0
    assert toy.epochs == [1] * 4
    value = recorded.summary["test_accuracy"]["values"][0]
    out = capsys.readouterr().out
    assert "trains one of its 2 seeds again" in out
    assert f"recorded {value:.5f}, again {value:.5f}" in out

    assert main(["audit", "--reproduce", "toy/one"]) == 0
    assert toy.epochs == [1] * 8  # trained once more, not taken from the first time
    without = replace(toy.EXPERIMENTS["one"], once=None)
    with monkeypatch.context() as patch:
        patch.setitem(toy.EXPERIMENTS, "one", without)
        assert main(["audit", "--reproduce", "toy/one"]) == 0
    assert "no training of one seed" in capsys.readouterr().out

    once = toy.EXPERIMENTS["one"].once
    broken = {"1.right.bits": pack(torch.zeros(4000, dtype=torch.bool))}
    worse = replace(
        toy.EXPERIMENTS["one"],
        once=lambda folder: replace(once(folder), answers=broken),
    )
    monkeypatch.setitem(toy.EXPERIMENTS, "one", worse)
    monkeypatch.setattr("hw2.live.CHANCE", 0.01)  # two seeds alone say little
    assert main(["audit", "--reproduce", "toy/one"]) == 1
    assert "again 0.00000" in capsys.readouterr().err


def test_the_band_of_a_repeated_training_pools_what_is_alike_where_seeds_are_few(
    toy, recorded
):
    def run(*values, **others):
        found = {"test_accuracy": list(values), **others}
        summary = {name: runs.over_seeds(seeds) for name, seeds in found.items()}
        return replace(recorded, summary=summary)

    def half(run, *others):
        summaries = [other.summary for other in others]
        low, high = experiments._band(run, "test_accuracy", summaries)
        mean = run.summary["test_accuracy"]["mean"]
        assert (low + high) / 2 == pytest.approx(mean)
        return (high - low) / 2

    five, two = run(0.80, 0.81, 0.82, 0.81, 0.80), run(0.80, 0.81)
    quantile = 8.610  # a table's, for a chance of 0.001 and 4 degrees of freedom
    spread = five.summary["test_accuracy"]["std"]
    assert half(five) == pytest.approx(quantile * spread * 1.2**0.5, rel=1e-3)
    assert half(run(*5 * [0.5])) == pytest.approx(experiments.LEAST)

    assert half(two, two) > 3  # a single degree of freedom says nothing
    alike = run(0.80, 0.81, **{"noise_0.05": [0.1, 0.9]}, mirrored=[0.70, 0.71, 0.72])
    quantile, spread = 12.924, (2 * 0.005**2 + 2 * 0.01**2) / 3  # 3 degrees
    assert half(two, alike) == pytest.approx(quantile * (spread * 1.5) ** 0.5, rel=1e-3)


def test_only_what_follows_from_what_the_weights_give_is_said_to(toy, recorded):
    answers = {
        "labels": torch.arange(40) % 3,
        "classes": torch.arange(40) % 4,
        "right.bits": pack(torch.arange(40) % 5 > 0),
        "p": torch.linspace(0, 1, 40),
        "validation": torch.linspace(0, 0.5, 40),
    }

    def score(config, curves, found):
        return {
            "accuracy": (found["labels"] == found["classes"]).double().mean().item(),
            "noise": unpack(found["right.bits"], 40).double().mean().item(),
            "auc": (found["p"].argsort() == torch.arange(40)).double().mean().item(),
            "validation": found["validation"].square().mean().item(),
        }, {}

    experiment = replace(toy.EXPERIMENTS["one"], score=score)

    def following(*names):
        again = {name: answers[name] for name in names}
        return experiments._following(experiment, recorded, answers, again)

    assert following("labels", "classes", "right.bits", "p") == [
        "accuracy",
        "noise",
        "auc",
    ]
    assert following("validation") == ["validation"]
    # of an accuracy that also follows from labels as they are recorded it is not
    assert following("classes", "p") == ["auc"]


def test_a_description_of_the_data_is_made_again(
    toy, recorded, monkeypatch, capsys, tmp_path
):
    def describe(_):
        result = toy.train(toy.EXPERIMENTS["one"].config, tmp_path / "unused")
        summary, curves = {"rows": 19_020}, {"head": [[1.0, 2.0], [3.0, 4.0]]}
        return replace(result, summary=summary, curves=curves, weights={}, answers={})

    plain = replace(toy.EXPERIMENTS["one"], description=True, train=describe)
    plain = replace(plain, evaluate=None, score=None)
    monkeypatch.setitem(toy.EXPERIMENTS, "one", plain)
    experiments.record("toy/one", fresh=True)
    assert main(["audit", "toy/one"]) == 0
    assert "computed again from the data: rows, 1 curves" in capsys.readouterr().out
    run = runs.load("toy", "one")
    edit(run, lambda r: r["summary"].update(rows=19_021))
    assert main(["audit", "toy/one"]) == 1
    assert "of 1 entries of rows 1 are others" in capsys.readouterr().err
    edit(run, lambda r: r["summary"].update(rows=19_020))
    edit(run, lambda r: r["curves"]["head"][1].__setitem__(0, 3.001))
    assert main(["audit", "toy/one"]) == 1
    assert "of 4 entries of head 1 are others" in capsys.readouterr().err


def test_without_the_data_a_run_is_not_audited(toy, recorded, tmp_path, capsys):
    (tmp_path / "data" / "points.txt").unlink()
    with pytest.raises(DataError):
        experiments.audit("toy/one")
    assert main(["audit", "toy/one"]) == 1  # nothing was audited
    printed = capsys.readouterr()
    assert "not audited, its data is not at hand" in printed.out
    assert (
        f"Put it (SHA-256 {toy.FILE.sha256}, 2 bytes) into {tmp_path / 'data'}"
        in printed.err
    )
    assert "error" not in printed.err


def test_damaged_data_is_a_failure_of_the_audit(toy, recorded, tmp_path, capsys):
    (tmp_path / "data" / "points.txt").write_text("damaged")
    assert main(["audit", "toy/one"]) == 1
    printed = capsys.readouterr()
    assert "refused" in printed.out
    assert "error: toy/one: " in printed.err
    assert "has 7 bytes, expected 2" in printed.err


def test_two_trainings_of_one_seed_do_not_share_checkpoints(toy, further, tmp_path):
    experiments.record("toy/two", fresh=True)
    folder = tmp_path / "again"
    with (
        experiments._alone(folder),
        pytest.raises(runs.RunError, match="another process trains this experiment"),
    ):
        experiments.repeat("toy/two", folder)


def test_what_was_not_audited_is_no_failure_beside_what_was(
    toy, recorded, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(
        toy.EXPERIMENTS, "two", replace(toy.EXPERIMENTS["two"], evaluate=None)
    )
    experiments.record("toy/two")
    (tmp_path / "data" / "points.txt").unlink()
    assert main(["audit"]) == 0
    printed = capsys.readouterr()
    assert "1 of 2 runs audited" in printed.out
    assert (
        "from what is recorded of answers, trials and curves: test_accuracy"
        in printed.out
    )
    assert "toy/one is not audited: points.txt not found" in printed.err


def test_without_the_data_nothing_is_trained(toy, tmp_path, capsys):
    (tmp_path / "data" / "points.txt").unlink()
    assert main(["run", "toy/one"]) == 1
    assert "error: toy/one: points.txt not found. Put it" in capsys.readouterr().err


def test_the_experiments_of_the_report_are_complete():
    """The real registry, without training: keys, configs that JSON can hold, data
    files.
    """
    found = experiments.registry()
    assert found
    for key, experiment in found.items():
        assert key.count("/") == 1
        assert runs.as_read(experiment.config)
