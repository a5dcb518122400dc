"""Recorded runs: what an expensive experiment was, what it gave, and whether today's
code would still give it.

`runs/<task>/<name>.json` holds a `Run`; beside it `<name>.safetensors` holds the final
weights, where there are any, and `<name>.answers.safetensors` what was predicted, from
which numbers are computed when they are read. A run is *stale* where today's code, with
the recorded config, gives other losses in the first steps (its canary). A digest over
the record tells hand edits.
"""

import hashlib
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from hw2.paths import ROOT, write

RUNS = ROOT / "runs"


class RunError(Exception):
    """A recorded run is missing, damaged, edited or stale; the message names the file
    and the remedy.
    """


@dataclass(frozen=True)
class Run:
    """One experiment over some seeds.

    `curves` maps a name to one list per seed, `summary` maps a name to a number or to
    what `over_seeds` gives.
    """

    task: str
    name: str
    config: dict[str, Any]
    seeds: list[int]
    curves: dict[str, list[list[float]]]
    summary: dict[str, Any]
    provenance: dict[str, Any]
    canary: list[float]

    @property
    def file(self) -> Path:
        return RUNS / self.task / f"{self.name}.json"

    @property
    def weights_file(self) -> Path:
        return self.file.with_suffix(".safetensors")

    @property
    def answers_file(self) -> Path:
        return self.file.with_suffix(".answers.safetensors")


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """Mean, sample standard deviation and the values themselves, for a summary. Raises
    RunError for less than two.
    """
    if len(values) < 2:
        raise RunError(
            f"{list(values)} has no standard deviation; train with two seeds or more"
        )
    return {
        "mean": statistics.fmean(values),
        "std": statistics.stdev(values),
        "values": list(values),
    }


def commit() -> tuple[str, str]:
    """The commit that has the project, or "" and in words why none is known.

    A repository around the project that does not track it has another project's.
    """
    if not shutil.which("git"):
        return "", "no known commit, since Git is not installed"
    tracked = _git("ls-files", "--error-unmatch", "pyproject.toml")
    if "dubious ownership" in tracked.stderr:
        return "", "no known commit, since Git refuses the folder of another user"
    found = _git("rev-parse", "--verify", "HEAD")
    if tracked.returncode or found.returncode:
        return "", "no commit of a Git repository"
    return found.stdout.strip(), ""


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments],
        env=os.environ | {"LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )


def provenance(data_digest: str) -> dict[str, Any]:
    """Where a run that starts now comes from; its device and wall time are known at its
    end.

    `uncommitted_changes` are those of the code and of the packages: another run that
    was just recorded is none.
    """
    places = ("code", "pyproject.toml", "requirements.lock")
    found, _ = commit()
    changes = found and _git("status", "--porcelain", "--", *places).stdout
    return {
        "commit": found,
        "uncommitted_changes": bool(changes.strip()),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "data_sha256": data_digest,
    }


def describe(device: torch.device | str) -> str:
    """A device with its name, such as "cuda: NVIDIA H200" or "cpu: AMD EPYC, 2
    threads".
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return f"{kind}: {torch.cuda.get_device_name(device)}"
    threads = torch.get_num_threads()
    return f"{kind}: {_processor()}, {threads} thread{'s' if threads > 1 else ''}"


def _processor() -> str:
    """The processor's name; Python itself tells no more than its architecture on
    Linux.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [
        line.partition(":")[2].strip()
        for line in lines
        if line.startswith("model name")
    ]
    return names[0] if names else platform.processor() or platform.machine()


def as_read(config: dict[str, Any]) -> dict[str, Any]:
    """A config as it is read from a recorded run: tuples are lists there."""
    return json.loads(json.dumps(config))


def save(
    run: Run,
    weights: Mapping[str, Tensor] | None = None,
    answers: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a run: its tensors first, then its JSON, each in one step. Where that ends
    in between, the digests in the old JSON are not those of the new tensors.

    Raises RunError for content that `load` would refuse.
    """
    record = asdict(run)
    run.file.parent.mkdir(parents=True, exist_ok=True)
    files = {"weights": run.weights_file, "answers": run.answers_file}
    contents = {
        kind: safetensors.torch.save(
            {
                name: tensor.detach().cpu().contiguous()
                for name, tensor in tensors.items()
            }
        )
        for kind, tensors in (("weights", weights), ("answers", answers))
        if tensors
    }
    for kind in files:
        record["provenance"].pop(f"{kind}_sha256", None)
    record["provenance"] |= {
        f"{kind}_sha256": hashlib.sha256(content).hexdigest()
        for kind, content in contents.items()
    }
    record["provenance"]["record_sha256"] = digest(record)
    _validate(record, run.file)
    for kind, content in contents.items():
        write(files[kind], content)
    write(run.file, (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())
    for kind, file in files.items():
        if kind not in contents:
            file.unlink(missing_ok=True)  # those of the run that this one replaces


def digest(record: Mapping[str, Any]) -> str:
    """SHA-256 of a whole record, but for this digest itself."""
    kept = {
        name: value
        for name, value in record["provenance"].items()
        if name != "record_sha256"
    }
    content = json.dumps({**record, "provenance": kept}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def load(task: str, name: str) -> Run:
    """Read a run and check that it is whole and agrees with itself. Raises RunError."""
    file = RUNS / task / f"{name}.json"
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(
            f"{file} not found; `make experiments` trains what is missing"
        ) from None
    except (OSError, RecursionError, ValueError) as error:
        raise RunError(
            f"{file} is damaged ({error}); restore it from git or train it again"
        ) from None
    _validate(record, file)
    if record["provenance"].get("record_sha256") != digest(record):
        raise RunError(
            f"{file} was edited: its digest is not that of its content; restore it "
            "from git or train it again"
        )
    run = Run(**record)
    if (run.task, run.name) != (task, name):
        raise RunError(
            f"{file} says that it is {run.task}/{run.name}; restore it from git"
        )
    return run


def load_weights(run: Run) -> dict[str, Tensor]:
    """The recorded weights. Raises RunError where they are missing, damaged or those of
    another run.
    """
    return _tensors(run.weights_file, run.provenance.get("weights_sha256"))


def load_answers(run: Run) -> dict[str, Tensor]:
    """The recorded answers, none for a run without. Raises RunError like
    `load_weights`.
    """
    expected = run.provenance.get("answers_sha256")
    return _tensors(run.answers_file, expected) if expected else {}


def _tensors(file: Path, expected: str | None) -> dict[str, Tensor]:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise RunError(
            f"{file} not found; restore it from git or train the run again"
        ) from None
    except OSError as error:
        raise RunError(
            f"{file} cannot be read ({error}); restore it from git"
        ) from None
    if (found := hashlib.sha256(content).hexdigest()) != expected:
        raise RunError(
            f"{file} has SHA-256 {found}, its run recorded {expected}; "
            "restore both from git"
        )
    try:
        return dict(sorted(safetensors.torch.load(content).items()))
    except safetensors.SafetensorError as error:
        raise RunError(
            f"{file} holds no tensors ({error}); train the run again"
        ) from None


def same_losses(
    first: Sequence[float], second: Sequence[float], tolerance: float = 2e-4
) -> bool:
    """Whether two canaries are those of the same code.

    `tolerance` is relative; float32 on another processor differs by far less, a changed
    hyper-parameter by far more.
    """
    return len(first) == len(second) and np.allclose(
        first, second, rtol=tolerance, atol=0
    )


def check_canary(run: Run, today: Sequence[float], tolerance: float = 2e-4) -> None:
    """Raise RunError if the run is stale: `today` are the first losses that today's
    code gives.
    """
    if not same_losses(today, run.canary, tolerance):
        raise RunError(
            f"{run.file} is stale: its first losses were {_short(run.canary)}, today's "
            f"code gives {_short(today)}; {remedy(run)}"
        )


def remedy(run: Run) -> str:
    """What to do about a stale run."""
    if run.task == "bench":
        return "run `make bench` on that machine, or undo the change"
    return "train it again with `make experiments`, or undo the change"


def _short(losses: Sequence[float]) -> str:
    return "[" + ", ".join(f"{loss:.5g}" for loss in losses) + "]"


def _is_date(value: Any) -> bool:
    try:
        return bool(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        return False


# what the report prints of it
PROVENANCE: dict[str, Callable[[Any], bool]] = {
    "commit": lambda value: isinstance(value, str),  # empty without Git
    "date": _is_date,
    "seconds": lambda value: isinstance(value, int | float) and 0 <= value < math.inf,
    "versions": lambda value: (
        isinstance(value, dict)
        and all(isinstance(text, str) for pair in value.items() for text in pair)
    ),
    "device": lambda value: isinstance(value, str) and bool(value),
}


def _validate(record: Any, file: Path) -> None:
    """Refuse a record that lacks something, has a number that is none, or whose summary
    disagrees with its values.
    """
    types: dict[str, Any] = {field.name: field.type for field in fields(Run)}
    if not isinstance(record, dict) or set(record) != set(types):
        keys = sorted(record) if isinstance(record, dict) else type(record).__name__
        raise RunError(
            f"{file} has {keys}, expected the keys {sorted(types)}; restore it from git"
        )
    for name, kind in types.items():
        if not isinstance(record[name], getattr(kind, "__origin__", kind)):
            raise RunError(
                f"{file}: {name} is {record[name]!r}, expected {kind}; restore it from "
                "git"
            )
    for name, good in PROVENANCE.items():
        if not good(value := record["provenance"].get(name)):
            raise RunError(
                f"{file}: {name} of its provenance is {value!r}; restore it from git"
            )
    seeds = len(record["seeds"])
    for part in ("curves", "summary", "canary"):
        for number in _leaves(record[part]):
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise RunError(
                    f"{file}: in {part} {number!r} stands where a number belongs; "
                    "restore it from git"
                )
            if not math.isfinite(number):
                raise RunError(f"{file}: {part} contains {number}; train the run again")
    for name, curves in record["curves"].items():
        if not isinstance(curves, list) or not all(
            isinstance(curve, list) for curve in curves
        ):
            raise RunError(f"{file}: {name} is no list of curves; restore it from git")
        if len(curves) != seeds:
            raise RunError(
                f"{file}: {name} has {len(curves)} curves for {seeds} seeds; train the "
                "run again"
            )
    for name, value in record["summary"].items():
        if isinstance(value, int | float):
            continue
        if not _is_over_seeds(value, seeds):
            raise RunError(
                f"{file}: {name} is {value!r}, expected a number, or mean, std and "
                f"values of {seeds} seeds"
            )
        again = over_seeds(value["values"])
        if not all(
            math.isclose(value[key], again[key], rel_tol=1e-9, abs_tol=1e-12)
            for key in ("mean", "std")
        ):
            raise RunError(
                f"{file}: mean or std of {name} is not that of its values; restore it "
                "from git"
            )


def _is_over_seeds(value: Any, seeds: int) -> bool:
    if (
        not isinstance(value, dict)
        or set(value) != {"mean", "std", "values"}
        or not isinstance(value["values"], list)
    ):
        return False
    numbers = [value["mean"], value["std"], *value["values"]]
    return len(numbers) == 2 + seeds and all(
        isinstance(number, int | float) for number in numbers
    )


def _leaves(value: Any) -> list[Any]:
    """What stands in lists and dictionaries, however deep."""
    if isinstance(value, dict):
        value = list(value.values())
    return (
        [leaf for item in value for leaf in _leaves(item)]
        if isinstance(value, list)
        else [value]
    )
