"""The experiments and their recorded runs: training what is missing or stale, and
auditing what is there.

An experiment has a key, such as `magic/final`: its task, and its name in `EXPERIMENTS`
of one of the task's modules.
"""

import difflib
import fcntl
import importlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import distributed

from hw2 import kept, runs, training
from hw2.answers import Difference, differences, others
from hw2.data import DataFile
from hw2.live import band
from hw2.paths import ROOT, write
from hw2.runs import Run, RunError
from hw2.tasks import Answers, Config, Experiment, Summary

# the modules of each task; what a search has chosen comes after the search
TASKS = {
    "magic": (
        "magic_search",
        "magic_baselines",
        "magic",
        "magic_comparison",
        "magic_notebook",
    ),
    "double_descent": ("double_descent",),
    "imagenette": ("imagenette", "imagenette_notebook"),
}
PACKAGE = "hw2.tasks."
CHECKPOINTS = ROOT / ".build" / "checkpoints"
REPEATED = ROOT / ".build" / "reproduced"
# Of rows whose answer changes, about as many become right as wrong: their balance has a
# standard deviation of the root of their number, and four of them are not exceeded.
DEVIATIONS = 4
# of the answers, on pictures that were only encoded anew, which changes 2 to 4 % (right
# or wrong, with the recorded networks and JPEG of quality 95 and 75)
MOST_CHANGED = 0.1


class Copied(NamedTuple):
    """A share of right answers as it is recorded, and on another copy of the data: the
    same pictures, encoded anew. One value per seed each.
    """

    number: str
    recorded: list[float]
    again: list[float]
    changed: float  # the largest share of its answers that are others
    tolerance: float  # follows from it

    @property
    def holds(self) -> bool:
        apart = np.abs(np.subtract(self.recorded, self.again)).max()
        return bool(apart <= self.tolerance) and self.changed <= MOST_CHANGED


class Audit(NamedTuple):
    """What was found of a recorded run: its answers against those that its weights give
    again, on which copy of the data, and where its other numbers come from.
    """

    run: Run
    differences: list[Difference]
    archive: DataFile
    copied: list[Copied]  # where the data are another copy than the recorded one
    # numbers that were computed again from the data; that follow from answers which
    # were computed again; that follow from what is recorded; and those that only
    # another training can give again
    from_data: list[str]
    from_weights: list[str]
    from_record: list[str]
    from_training: list[str]


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
        near = difflib.get_close_matches(unknown[0], [*keys, *TASKS], 1)
        meant = f"; did you mean {near[0]}?" if near else "."
        raise RunError(
            f"no experiment {unknown[0]!r}{meant} There are the tasks "
            f"{', '.join(TASKS)} and the experiments {', '.join(keys)}"
        )
    return [
        key
        for key in keys
        if not parts or any(key in found for found in chosen.values())
    ]


def require() -> None:
    """See that every experiment has a recorded run, before a render begins that will
    ask for all. Raises RunError.
    """
    absent = [key for key in registry() if not (runs.RUNS / f"{key}.json").is_file()]
    if absent:
        raise RunError(
            f"{runs.RUNS} has no {', '.join(absent)}; restore them from git, or train "
            "them with `make experiments`"
        )


def get(task: str, name: str) -> Run:
    """The recorded run of an experiment, with all numbers that follow from its answers.
    Raises RunError where it is missing, damaged, edited or stale.
    """
    experiment = _experiment(f"{task}/{name}")
    run, config = runs.load(task, name), runs.as_read(experiment.config)
    if changed := _changes(run.config, config) + _missing(run.config, config):
        raise _stale(run, "; ".join(changed))
    if run.seeds != list(experiment.seeds or run.seeds):
        raise _stale(
            run, f"its seeds are {run.seeds}, today's are {list(experiment.seeds)}"
        )
    base = experiment.base and _base_digest(experiment)
    if base and run.provenance.get("base_sha256") != base:
        raise _stale(
            run, f"the weights of {experiment.base}, its first, are others now"
        )
    good = {file.sha256 for file in (experiment.data, *experiment.copies)}
    if (recorded := run.provenance.get("data_sha256")) not in good:
        raise _stale(
            run,
            f"its data had SHA-256 {recorded}, today's has {experiment.data.sha256}",
        )
    modules = [PACKAGE + module for module in TASKS[task]]
    canary = kept.value(
        (f"canary.{task}.{name}", repr(config)),
        modules,
        lambda: _canary(experiment, config),
        list[float],
    )
    runs.check_canary(run, canary)
    return _scored(experiment, run, runs.load_answers(run))


def _scored(experiment: Experiment, run: Run, answers: Answers) -> Run:
    """A run with what follows from its curves and answers. Raises RunError where they
    do not fit together.
    """
    if not experiment.score:
        return _plausible(run)
    try:
        summary, curves = experiment.score(run.config, run.curves, answers)
    except (KeyError, ValueError, IndexError, TypeError, RuntimeError) as error:
        raise RunError(
            f"{run.file}: answers and curves do not fit together ({error!r}); restore "
            "the run from git or train it again"
        ) from error
    if twice := (summary.keys() & run.summary) | (curves.keys() & run.curves):
        raise RunError(
            f"{run.file}: {', '.join(sorted(twice))} is stored, though it follows from "
            "the answers; train the run again"
        )
    return _plausible(
        replace(
            run, summary=run.summary | _over_seeds(summary), curves=run.curves | curves
        )
    )


def _plausible(run: Run) -> Run:
    """The run. Raises RunError where it has not one value for each seed, or a value
    that no training gives.
    """
    values = {
        name: value["values"] if isinstance(value, dict) else value
        for name, value in run.summary.items()
    } | run.curves
    for name, found in values.items():
        why = ""
        if isinstance(found, list) and len(found) != len(run.seeds):
            why = f"has {len(found)} values for {len(run.seeds)} seeds"
        # not <= rather than >, which no NaN is
        elif "loss" in name and not np.min(found, initial=0) >= 0:
            why = "is negative or no number"
        elif re.search("accuracy|error", name) and not (
            np.min(found, initial=0) >= 0 and np.max(found, initial=0) <= 1
        ):
            why = "is no share, between 0 and 1"
        if why:
            raise RunError(
                f"{run.file}: {name} {why}; restore the run from git or train it again"
            )
    return run


def _over_seeds(summary: Summary) -> dict[str, Any]:
    return {
        number: runs.over_seeds(value) if isinstance(value, list) else value
        for number, value in summary.items()
    }


def _canary(experiment: Experiment, config: Config) -> list[float]:
    """The canary of today's code, in one thread: more do not pay for so little, and
    wait long where cores are busy.
    """
    with threadpool_limits(1):
        return list(experiment.canary(config))


def outdated(key: str) -> str:
    """Why an experiment must be trained: run, weights or answers are missing, damaged
    or stale. Empty where they are good.
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
    base = _base(experiment)
    canary, provenance = (
        _canary(experiment, config),
        runs.provenance(experiment.data.sha256),
    )
    if experiment.base:
        provenance["base_sha256"] = _base_digest(experiment)
    with training.processes(), ExitStack() as stack:
        first, seconds = training.rank() == 0, 0.0
        if first:
            stack.enter_context(_alone(folder))
            seconds = _prepare(folder, _origin(experiment, canary), fresh)
        _wait_for_all()
        start = time.perf_counter()
        result = experiment.train(folder, *base)
        seconds += time.perf_counter() - start
        if changed := _changes(config, runs.as_read(result.config)) or _changes(
            runs.as_read(result.config), config
        ):
            raise RunError(
                f"{key} was trained with another config than its experiment has: "
                f"{'; '.join(changed)}"
            )
        provenance |= {
            "data_sha256": (result.data or experiment.data).sha256,
            "device": runs.describe(result.device),
            "seconds": round(seconds, 1),
        }
        run = Run(
            task=task,
            name=name,
            config=config,
            seeds=list(result.seeds),
            curves=result.curves,
            summary=_over_seeds(result.summary),
            provenance=provenance,
            canary=canary,
        )
        _scored(experiment, run, result.answers)  # before anything is written
        if experiment.evaluate:
            again, _ = _evaluate(experiment, run, result.weights, 0)
            _refuse(run, {**result.weights, **result.answers}, again)
        if first:
            runs.save(run, result.weights, result.answers)
            for left in run.file.parent.glob(
                f".{name}.*"
            ):  # by a process that was killed while it wrote
                left.unlink()
            shutil.rmtree(folder)
        _wait_for_all()
    return _scored(experiment, runs.load(task, name), result.answers)


def audit(key: str, draws: int | None = 1) -> Audit:
    """Check the canary of a recorded run, and compare its answers with those that its
    weights give again: in noise so many draws, or all (None), which takes long.

    Raises RunError for a run that is missing, damaged, edited or stale; DataError where
    the data is not at hand.
    """
    experiment, run = _experiment(key), get(*key.split("/"))
    weights, answers = _weights(run), runs.load_answers(run)
    stored = runs.load(*key.split("/"))
    scored = [name for name in run.summary if name not in stored.summary]
    trained = [*stored.summary, *stored.curves]
    found, described = [], []
    if experiment.description:
        found = _described(experiment, stored)
        described = [*stored.summary, f"{len(stored.curves)} curves"]
        trained = []
    if not experiment.evaluate:
        rest = [described, [], scored, trained]
        return Audit(run, found, experiment.data, [], *rest)
    again, archive = _evaluate(experiment, run, weights, draws)
    found += _differences(run, {**weights, **answers}, again)
    follow = _following(experiment, stored, answers, again)
    copied = []
    if archive.sha256 != run.provenance["data_sha256"]:
        copied = _copied(experiment, run, {**answers, **again}, found, follow)
    rest = [described, follow, [name for name in scored if name not in follow], trained]
    return Audit(run, found, archive, copied, *rest)


def _described(experiment: Experiment, run: Run) -> list[Difference]:
    """What a description of the data says, against the data."""
    result = experiment.train(CHECKPOINTS)
    found = []
    for recorded, again in ((run.summary, result.summary), (run.curves, result.curves)):
        for name, new in again.items():
            old = recorded.get(name, ())
            same = np.shape(old) == np.shape(new) and np.isclose(old, new, rtol=1e-6)
            found.append(Difference(name, np.size(new), int(np.sum(~same)), True))
    return found


def _following(
    experiment: Experiment, run: Run, answers: Answers, again: Answers
) -> list[str]:
    """The numbers that follow from answers which were computed again, and from no
    others: they change with the ones and not with the others.
    """
    if not experiment.score:
        return []
    score = partial(experiment.score, run.config, run.curves)
    given = {name: value for name, value in answers.items() if name in again}
    before = score(answers)[0]
    moved = score({**answers, **others(given)})[0]
    follow = {name for name, value in before.items() if value != moved[name]}
    for name in answers.keys() - given.keys():  # one by one: some must fit together
        with suppress(ValueError):  # as the curves tell where this one is another
            moved = score({**answers, **others({name: answers[name]})})[0]
            follow -= {name for name, value in before.items() if value != moved[name]}
    return [name for name in before if name in follow]


def faults(found: Audit) -> list[str]:
    """A message for each answer or number of a run that its weights do not give
    again.
    """
    remedy = (
        "restore the run's files from git or train anew: .venv/bin/python -m hw2 run "
        f"--force {found.run.task}/{found.run.name}"
    )
    if found.archive.sha256 != found.run.provenance["data_sha256"]:
        return [
            f"{found.run.file}: {number} is {recorded}, but on {found.archive.name} "
            f"its weights give {again}, with {changed:.1%} of the answers changed "
            f"(up to {MOST_CHANGED:.0%} and {tolerance:.4f} away were good); {remedy}"
            for number, recorded, again, changed, tolerance in (
                item for item in found.copied if not item.holds
            )
        ]
    return [
        f"{found.run.file}: of {item.entries:,} entries of {item.name} "
        f"{item.changed:,} are others than its weights give; {remedy}"
        for item in found.differences
        if not item.holds
    ]


class Repeated(NamedTuple):
    """A number of the first seed as it is recorded, as another training gives it, and
    where this may lie.
    """

    number: str
    recorded: float
    again: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        return self.low <= self.again <= self.high


# so many seeds tell their spread by themselves; and about four of Imagenette's test
# images, by which seeds that happened to be alike may still differ
ENOUGH, LEAST = 5, 0.001


def _unit(number: str) -> str:
    """What numbers of a task must share to have about the same spread over seeds."""
    found = re.search(r"(0\.\d+|loss|std)$", number)
    return found[1] if found else "accuracy"


def _summaries(task: str) -> list[dict[str, Any]]:
    """Those of all runs of a task that are good."""
    found = []
    for key in registry([task]):
        with suppress(RunError):
            found.append(get(*key.split("/")).summary)
    return found


def _band(
    run: Run, number: str, summaries: Sequence[dict[str, Any]]
) -> tuple[float, float]:
    """Where a number may lie when a seed is trained again. Two trainings of one seed
    that differ by rounding differ by about as much as two seeds do: of this number, and
    where the seeds are few, of all numbers in `summaries` with the same unit.
    """
    values = run.summary[number]["values"]
    alike = [
        value["values"]
        for summary in summaries
        for name, value in summary.items()
        if isinstance(value, dict) and _unit(name) == _unit(number)
    ]
    like = [values] if len(values) >= ENOUGH else alike
    low, high = band({"values": values, "like": like})
    return min(low, fmean(values) - LEAST), max(high, fmean(values) + LEAST)


def repeatable(key: str) -> bool:
    """Whether one seed of an experiment can be trained alone."""
    return _experiment(key).once is not None


def repeat(key: str, checkpoints: Path) -> list[Repeated]:
    """Train the first seed of an experiment again and compare its numbers with the
    recorded ones; what was killed goes on, what ended is trained anew. Raises RunError
    for an experiment that has no such training.
    """
    experiment, run = _experiment(key), get(*key.split("/"))
    if not experiment.once:
        raise RunError(f"{key} cannot be trained for one seed")
    canary = _canary(experiment, runs.as_read(experiment.config))
    with _alone(checkpoints):
        _prepare(checkpoints, _origin(experiment, canary), fresh=False)
        result = experiment.once(checkpoints, *_base(experiment))
        shutil.rmtree(checkpoints)
    summary, _ = (
        experiment.score(run.config, result.curves, result.answers)
        if experiment.score
        else ({}, {})
    )
    summaries = _summaries(run.task)  # once: each needs its canary
    return [
        Repeated(
            number,
            recorded["values"][0],
            value[0],
            *_band(run, number, summaries),
        )
        for number, value in {**result.summary, **summary}.items()
        if isinstance(value, list)
        and isinstance(recorded := run.summary[number], dict)
        and len(value) < len(recorded["values"])
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


def _missing(old: Config, new: Config) -> list[str]:
    """What `old` has not, by which a hyper-parameter was removed from a record or added
    to the code.
    """
    return [
        f"it lacks {name}, which is {value!r} now (new in the code? `.venv/bin/python "
        "-m hw2 run --adopt` adds it where the losses stay as they were)"
        for name, value in new.items()
        if name not in old
    ] + [
        message
        for name, value in old.items()
        if isinstance(value, dict) and isinstance(new.get(name), dict)
        for message in _missing(value, new[name])
    ]


def adopt(key: str) -> str:
    """Extend a recorded run by what today's config and canary have besides. Raises
    RunError where another thing has changed, or with it today's code gives other losses
    than those that are recorded.
    """
    experiment = _experiment(key)
    config = runs.as_read(experiment.config)
    canary = partial(_canary, experiment, config)
    return extend(runs.load(*key.split("/")), config, canary)


def extend(run: Run, config: Config, canary: Callable[[], list[float]]) -> str:
    """Record a run anew with what a config and a canary have besides the recorded ones,
    and say what was done. Raises RunError where another thing has changed.
    """
    if changed := _changes(run.config, config):
        raise _stale(run, "; ".join(changed))
    added, losses = _missing(run.config, config), canary()
    if not added and len(losses) <= len(run.canary):
        return "nothing to add"
    runs.check_canary(run, losses[: len(run.canary)])
    new = replace(run, config=config, canary=losses)
    runs.save(new, _weights(run), runs.load_answers(run))
    more = len(losses) - len(run.canary)
    return f"{len(added)} hyper-parameters and {more} losses of the canary added"


def _stale(run: Run, reason: str) -> RunError:
    return RunError(f"{run.file} is stale: {reason}; {runs.remedy(run)}")


def _base(experiment: Experiment) -> list[dict[str, Any]]:
    """The recorded weights that an experiment goes on from; nothing for one that begins
    anew.
    """
    return [_weights(get(*experiment.base.split("/")))] if experiment.base else []


def _base_digest(experiment: Experiment) -> str:
    """The digest of these weights, as it is recorded."""
    return runs.load(*experiment.base.split("/")).provenance["weights_sha256"]


def _weights(run: Run) -> dict[str, Any]:
    return runs.load_weights(run) if "weights_sha256" in run.provenance else {}


def _evaluate(
    experiment: Experiment, run: Run, weights: dict[str, Any], draws: int | None
) -> tuple[dict[str, Any], DataFile]:
    assert experiment.evaluate
    try:
        return experiment.evaluate(runs.as_read(experiment.config), weights, draws)
    except torch.OutOfMemoryError as error:
        raise training.TrainingError(
            f"the memory is too small to evaluate {run.weights_file} ({error}); close "
            "what else uses it"
        ) from None
    except (
        KeyError,
        RuntimeError,
    ) as error:  # what PyTorch raises for a missing tensor or one of another shape
        raise RunError(
            f"{run.weights_file} cannot be evaluated ({error}); train the run again"
        ) from error


def _differences(run: Run, recorded: Answers, again: Answers) -> list[Difference]:
    try:
        return differences(recorded, again)
    except ValueError as error:
        raise RunError(f"{run.answers_file}: {error}; train the run again") from error


def _refuse(run: Run, answers: Answers, again: Answers) -> None:
    for item in _differences(run, answers, again):
        if not item.holds:
            raise RunError(
                f"{run.task}/{run.name} is not recorded: of {item.entries:,} entries "
                f"of {item.name} {item.changed:,} are others than its weights as "
                "recorded give"
            )


def _copied(
    experiment: Experiment,
    run: Run,
    answers: Answers,
    found: list[Difference],
    follow: list[str],
) -> list[Copied]:
    """The shares of right answers on another copy of the data."""
    if not experiment.score:
        return []
    stored = runs.load(run.task, run.name)
    summary, _ = experiment.score(run.config, stored.curves, answers)
    predicted = [item for item in found if item.name.split(".")[0].isdigit()]

    def change(number: str) -> tuple[float, float]:
        """The largest share of changed answers, of those that an accuracy is computed
        from (probabilities change where answers do not), and how far that may move it.
        """
        kind = ".mirrored" if "mirrored" in number else ".classes"
        own = [item for item in predicted if item.name.endswith(kind)] or predicted
        share = max(item.changed / item.entries for item in own)
        rows = min(item.entries for item in own)
        return share, DEVIATIONS * (share / rows) ** 0.5

    return [
        Copied(number, run.summary[number]["values"], again, *change(number))
        for number, again in summary.items()
        if isinstance(again, list) and "accuracy" in number and number in follow
    ]


def _wait_for_all() -> None:
    if training.world_size() > 1:
        distributed.barrier()


def _origin(experiment: Experiment, canary: list[float]) -> dict[str, Any]:
    """What checkpoints depend on."""
    config = runs.as_read(experiment.config)
    return {"config": config, "canary": canary, "data": experiment.data.sha256}


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Raises RunError where another process keeps checkpoints in this folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                "another process trains this experiment, with checkpoints in "
                f"{folder}; wait for it, or end it"
            ) from None
        yield


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
        whole = isinstance(noted, dict) and noted.keys() >= {
            *origin,
            "seconds",
            "started",
        }
        same = (
            whole
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
