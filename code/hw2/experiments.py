"""The experiments and their recorded runs: training what is missing or stale, and
auditing what is there.

An experiment has a key, such as `magic/final`: its task, and its name in `EXPERIMENTS`
of one of the task's modules.
"""

import importlib
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits
from torch import distributed

from hw2 import kept, runs, training
from hw2.paths import ROOT, write
from hw2.runs import Run, RunError
from hw2.tasks import Config, Experiment

# the modules of each task; what a search has chosen comes after the search
TASKS = {
    "magic": ("magic_search", "magic_baselines", "magic", "magic_comparison"),
    "double_descent": ("double_descent",),
    "imagenette": ("imagenette",),
}
PACKAGE = "hw2.tasks."
CHECKPOINTS = ROOT / ".build" / "checkpoints"
# An accuracy moves by 1 / rows where one row crosses the threshold, as another
# processor's rounding may do: that is 0.00026 for the test rows of MAGIC and 0.00025
# for the images of Imagenette. Two such rows are a difference.
TOLERANCE = 0.0005


class Comparison(NamedTuple):
    """A number of a summary as it is recorded, and as the recorded weights give it
    again; one value per seed each.
    """

    number: str
    recorded: list[float]
    again: list[float]

    @property
    def difference(self) -> float:
        """The largest over the seeds."""
        return float(np.abs(np.subtract(self.recorded, self.again)).max())

    @property
    def holds(self) -> bool:
        return self.difference <= TOLERANCE


def registry(tasks: Sequence[str] = ()) -> dict[str, Experiment]:
    """The experiments of some tasks by their keys, or all. Only the modules of these
    tasks are imported.
    """
    return {
        f"{task}/{name}": experiment
        for task in tasks or TASKS
        for module in TASKS[task]
        for name, experiment in importlib.import_module(
            PACKAGE + module
        ).EXPERIMENTS.items()
    }


def select(parts: Sequence[str]) -> list[str]:
    """The keys that some parts name: `magic/final` that one, `magic` the whole task; no
    part names all.

    Raises RunError for a part that names nothing.
    """
    keys = list(registry())
    chosen = {
        part: [key for key in keys if f"{key}/".startswith(f"{part.rstrip('/')}/")]
        for part in parts
    }
    if unknown := [part for part in parts if not chosen[part]]:
        raise RunError(f"no experiment {unknown[0]!r}; there are: {', '.join(keys)}")
    return [
        key
        for key in keys
        if not parts or any(key in found for found in chosen.values())
    ]


def get(task: str, name: str) -> Run:
    """The recorded run of an experiment. Raises RunError where it is missing, damaged,
    edited or stale.
    """
    experiment = _experiment(f"{task}/{name}")
    run, config = runs.load(task, name), runs.as_read(experiment.config)
    if changed := _changes(run.config, config):
        raise _stale(run, "; ".join(changed))
    if (recorded := run.provenance.get("data_sha256")) != experiment.data.sha256:
        raise _stale(
            run,
            f"its data had SHA-256 {recorded}, today's has {experiment.data.sha256}",
        )
    # today's config has all that the recorded one has, and what was added since
    modules = [PACKAGE + module for module in TASKS[task]]
    canary = kept.value(
        (f"canary.{task}.{name}", repr(config)),
        modules,
        lambda: _canary(experiment, config),
        list[float],
    )
    runs.check_canary(run, lambda _: canary)
    return run


def _canary(experiment: Experiment, config: Config) -> list[float]:
    """The canary of today's code, in one thread: more do not pay for so little, and
    wait long where cores are busy.
    """
    with threadpool_limits(1):
        return list(experiment.canary(config))


def outdated(key: str) -> str:
    """Why an experiment must be trained: run or weights are missing, damaged or stale.
    Empty where they are good.
    """
    try:
        _weights(get(*key.split("/")))
    except RunError as error:
        return str(error)
    return ""


def record(key: str, fresh: bool = False) -> Run:
    """Train an experiment and record its run; of processes that torchrun started all
    train and the first one records.

    A killed training goes on from its checkpoints, if they are those of today's config,
    code and data, and if it is not to start `fresh`. The recorded seconds are those
    that led to the result: what was lost between the last checkpoint and the kill is
    not counted. Raises RunError where the recorded weights would not give the recorded
    numbers, and what the training raises.
    """
    experiment = _experiment(key)
    task, name = key.split("/")
    config, folder = runs.as_read(experiment.config), CHECKPOINTS / task / name
    canary, provenance = (
        _canary(experiment, config),
        runs.provenance(experiment.data.sha256),
    )
    with training.processes():
        first, seconds = training.rank() == 0, 0.0
        if first:
            seconds = _prepare(
                folder,
                {"config": config, "canary": canary, "data": experiment.data.sha256},
                fresh,
            )
        _wait_for_all()
        start = time.perf_counter()
        result = experiment.train(folder)
        seconds += time.perf_counter() - start
        if changed := _changes(config, runs.as_read(result.config)) or _changes(
            runs.as_read(result.config), config
        ):
            raise RunError(
                f"{key} was trained with another config than its experiment has: "
                f"{'; '.join(changed)}"
            )
        run = Run(
            task=task,
            name=name,
            config=config,
            seeds=list(result.seeds),
            curves=result.curves,
            summary={
                number: runs.over_seeds(value) if isinstance(value, list) else value
                for number, value in result.summary.items()
            },
            provenance=provenance
            | {"device": runs.describe(result.device), "seconds": round(seconds, 1)},
            canary=canary,
        )
        if experiment.evaluate:
            _check_numbers(run, _compare(run, experiment, result.weights))
        if first:
            runs.save(run, result.weights or None)
            for left in run.file.parent.glob(
                f".{name}.*"
            ):  # by a process that was killed while it wrote
                left.unlink()
            shutil.rmtree(folder)
        _wait_for_all()
    return runs.load(task, name)


def audit(key: str) -> list[Comparison]:
    """Check the canary and the weights of a recorded run, and evaluate the weights
    again where the experiment can.

    Raises RunError for a run that is missing, damaged, edited or stale; DataError where
    the data is not at hand.
    """
    experiment, run = _experiment(key), get(*key.split("/"))
    weights = _weights(run)
    return _compare(run, experiment, weights) if experiment.evaluate else []


def mismatches(run: Run, comparisons: Sequence[Comparison]) -> list[str]:
    """A message for each number of a seed that the weights do not give again."""
    return [
        f"{run.file}: {number} of seed {seed} is {told:.6g}, but its weights give "
        f"{found:.6g}, more than {TOLERANCE} "
        "away; restore both files from git or train anew: .venv/bin/python -m hw2 run "
        f"--force {run.task}/{run.name}"
        for number, recorded, again in comparisons
        for seed, told, found in zip(run.seeds, recorded, again, strict=True)
        if not abs(told - found) <= TOLERANCE
    ]


def _experiment(key: str) -> Experiment:
    task = key.partition("/")[0]
    found = registry([task]) if task in TASKS else {}
    if key not in found:
        raise RunError(f"no experiment {key!r}; there are: {', '.join(registry())}")
    return found[key]


def _changes(old: Config, new: Config, inside: str = "") -> list[str]:
    """What `new` lacks or has otherwise than `old`; what it has besides is no
    change.
    """
    found = []
    for name, value in old.items():
        if isinstance(value, dict) and isinstance(new.get(name), dict):
            found += _changes(value, new[name], f"{inside}{name}.")
        elif name not in new:
            found.append(f"{inside}{name} was {value!r}, now there is none")
        elif new[name] != value:
            found.append(f"{inside}{name} was {value!r}, now it is {new[name]!r}")
    return found


def _stale(run: Run, reason: str) -> RunError:
    return RunError(
        f"{run.file} is stale: {reason}; train it again with `make experiments`, or "
        "undo the change"
    )


def _weights(run: Run) -> dict[str, Any]:
    return runs.load_weights(run) if "weights_sha256" in run.provenance else {}


def _compare(
    run: Run, experiment: Experiment, weights: dict[str, Any]
) -> list[Comparison]:
    assert experiment.evaluate
    try:
        numbers = experiment.evaluate(runs.as_read(experiment.config), weights)
    except (
        KeyError,
        RuntimeError,
    ) as error:  # what PyTorch raises for a missing tensor or one of another shape
        raise RunError(
            f"{run.weights_file} cannot be evaluated ({error}); train the run again"
        ) from error
    for number, again in numbers.items():
        recorded = run.summary.get(number)
        if not isinstance(recorded, dict) or len(recorded["values"]) != len(again):
            raise RunError(
                f"{run.file}: {number} is {recorded!r}, its weights give {again}; "
                "train the run again"
            )
    return [
        Comparison(number, run.summary[number]["values"], again)
        for number, again in numbers.items()
    ]


def _check_numbers(run: Run, comparisons: Sequence[Comparison]) -> None:
    for item in comparisons:
        if not item.holds:
            raise RunError(
                f"{run.task}/{run.name} is not recorded: its {item.number} is "
                f"{item.recorded}, "
                f"but its weights as recorded give {item.again}"
            )


def _wait_for_all() -> None:
    if training.world_size() > 1:
        distributed.barrier()


def _prepare(folder: Path, origin: dict[str, Any], fresh: bool) -> float:
    """Make a folder ready for checkpoints. Returns the seconds that the checkpoints in
    it took to train.

    `origin` is noted beside them: from checkpoints of another origin the training would
    not give what it should.
    """
    note, seconds = folder / "origin.json", 0.0
    if folder.is_dir():
        try:
            noted = json.loads(note.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            noted = {}
        same = (
            noted
            and noted["config"] == origin["config"]
            and noted["data"] == origin["data"]
        )
        if same and runs.same_losses(noted["canary"], origin["canary"]) and not fresh:
            newest = max(file.stat().st_mtime for file in folder.rglob("*"))
            seconds = noted["seconds"] + max(0.0, newest - noted["started"])
            print(
                f"goes on from the checkpoints in {folder}, {seconds:.1f} s of training"
            )
        else:
            why = "as asked" if fresh else "as they are of another config, code or data"
            print(f"starts anew, removes the checkpoints in {folder} {why}")
            shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write(
        note, json.dumps(origin | {"seconds": seconds, "started": time.time()}).encode()
    )
    return seconds
