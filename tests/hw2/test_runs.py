"""Recorded runs: what is written is read back, and what was damaged, edited or has
become stale is refused.
"""

import dataclasses
import json
import math
import os
import shutil
import subprocess

import pytest
import torch

from hw2 import runs

RUN = runs.Run(
    task="toy",
    name="one",
    config={"learning_rate": 0.1, "seed": 211},
    seeds=[1, 2],
    curves={"train_loss": [[1.0, 0.5], [1.1, 0.4]]},
    summary={"test_accuracy": runs.over_seeds([0.8, 0.9]), "parameters": 10},
    provenance={
        "commit": "abc",
        "date": "2026-01-02T03:04:05+00:00",
        "seconds": 1.5,
        "versions": {"python": "3.11"},
        "device": "cpu: toy",
    },
    canary=[1.0, 0.9, 0.8],
)
WEIGHTS = {"layer.weight": torch.arange(6.0).reshape(2, 3)}


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    return tmp_path


def edit(change):
    """An edit with the digest of what the record is then, as far as it has one."""
    record = json.loads(RUN.file.read_text())
    change(record)
    if isinstance(record.get("provenance"), dict):
        record["provenance"]["record_sha256"] = runs.digest(record)
    RUN.file.write_text(json.dumps(record))


def test_a_run_and_its_weights_are_read_back(folder):
    runs.save(RUN, WEIGHTS)
    run = runs.load("toy", "one")
    assert dataclasses.replace(run, provenance=RUN.provenance) == RUN
    assert torch.equal(runs.load_weights(run)["layer.weight"], WEIGHTS["layer.weight"])
    assert sorted(file.name for file in (folder / "toy").iterdir()) == [
        "one.json",
        "one.safetensors",
    ]


def test_a_run_and_its_answers_are_read_back(folder):
    runs.save(RUN, None, {"b": torch.arange(3), "a": torch.ones(2)})
    run = runs.load("toy", "one")
    assert list(runs.load_answers(run)) == ["a", "b"]
    run.answers_file.write_bytes(run.answers_file.read_bytes()[:-1])
    with pytest.raises(runs.RunError, match=r"one.answers.safetensors has SHA-256"):
        runs.load_answers(run)
    runs.save(RUN)
    assert not run.answers_file.exists()
    assert runs.load_answers(runs.load("toy", "one")) == {}


def test_an_edit_without_the_digest_of_the_record_is_told():
    runs.save(RUN)
    record = json.loads(RUN.file.read_text())
    record["curves"]["train_loss"][0][0] += 0.1
    RUN.file.write_text(json.dumps(record))
    with pytest.raises(runs.RunError, match=r"one.json was edited: its digest"):
        runs.load("toy", "one")


def test_over_seeds_is_the_mean_and_the_sample_standard_deviation():
    found = runs.over_seeds([0.8, 0.9, 1.0])
    assert found["mean"] == pytest.approx(0.9)
    assert found["std"] == pytest.approx(torch.tensor([0.8, 0.9, 1.0]).std().item())


def test_a_missing_run_names_the_remedy():
    with pytest.raises(runs.RunError, match=r"one.json not found; `make experiments`"):
        runs.load("toy", "one")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda r: r["summary"]["test_accuracy"].update(mean=0.95),
            "mean or std of test_accuracy",
        ),
        (
            lambda r: r["summary"]["test_accuracy"].update(values=[0.8, 0.91]),
            "mean or std of test_accuracy",
        ),
        (
            lambda r: r["summary"]["test_accuracy"]["values"].append(0.99),
            "values of 2 seeds",
        ),
        (
            lambda r: r["summary"]["test_accuracy"].update(mean=[0.85]),
            "values of 2 seeds",
        ),
        (
            lambda r: r["summary"]["test_accuracy"].pop("std"),
            "expected a number, or mean, std and values",
        ),
        (
            lambda r: r["summary"].update(test_accuracy=[0.8, 0.9]),
            "expected a number, or mean, std and values",
        ),
        (
            lambda r: r["summary"].update(parameters="many"),
            "one.json: in summary 'many' stands where a number belongs",
        ),
        (
            lambda r: r["curves"].update(train_loss=1.0),
            "train_loss is no list of curves",
        ),
        (
            lambda r: r["curves"].update(train_loss=[1.0, 0.5]),
            "train_loss is no list of curves",
        ),
        (lambda r: r["curves"]["train_loss"].pop(), "1 curves for 2 seeds"),
        (
            lambda r: r["curves"]["train_loss"][0].append(math.nan),
            "curves contains nan",
        ),
        (lambda r: r["canary"].append(math.inf), "canary contains inf"),
        (lambda r: r.pop("seeds"), "expected the keys"),
        (lambda r: r.update(extra=1), "expected the keys"),
        (lambda r: r.update(config=[]), "config is"),
        (lambda r: r.update(name="two"), "says that it is toy/two"),
    ],
)
def test_an_edited_run_is_refused(change, message):
    runs.save(RUN)
    edit(change)
    with pytest.raises(runs.RunError, match=message):
        runs.load("toy", "one")


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_a_truncated_run_is_refused(content):
    runs.save(RUN)
    RUN.file.write_text(content)
    with pytest.raises(runs.RunError, match="restore it from git"):
        runs.load("toy", "one")


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"", lambda data: data[:-1] + b"\1"]
)
def test_damaged_weights_are_refused(damage):
    runs.save(RUN, WEIGHTS)
    RUN.weights_file.write_bytes(damage(RUN.weights_file.read_bytes()))
    with pytest.raises(
        runs.RunError, match=r"one.safetensors has SHA-256 .* restore both"
    ):
        runs.load_weights(runs.load("toy", "one"))


def test_weights_of_another_run_are_refused():
    other = dataclasses.replace(RUN, name="two")
    runs.save(RUN, WEIGHTS)
    runs.save(other, {"layer.weight": torch.ones(2, 3)})
    RUN.weights_file.write_bytes(other.weights_file.read_bytes())
    with pytest.raises(runs.RunError, match="SHA-256"):
        runs.load_weights(runs.load("toy", "one"))


def test_missing_weights_are_named():
    runs.save(RUN, WEIGHTS)
    RUN.weights_file.unlink()
    with pytest.raises(runs.RunError, match=r"one.safetensors not found"):
        runs.load_weights(runs.load("toy", "one"))


def test_a_bad_run_is_not_written_and_the_good_one_stays(folder):
    runs.save(RUN, WEIGHTS)
    before = {file: file.read_bytes() for file in (folder / "toy").iterdir()}
    with pytest.raises(runs.RunError, match="canary contains nan"):
        runs.save(
            dataclasses.replace(RUN, canary=[math.nan]),
            {"layer.weight": torch.zeros(1)},
        )
    assert {file: file.read_bytes() for file in (folder / "toy").iterdir()} == before


def test_the_canary_of_unchanged_code_is_silent_and_that_of_changed_code_is_not():
    runs.check_canary(RUN, [1.0, 0.90001, 0.8])
    for losses in ([1.0, 0.91, 0.8], [1.0, 0.9], [math.nan, 0.9, 0.8]):
        with pytest.raises(
            runs.RunError,
            match=r"one.json is stale: its first losses were \[1, 0.9, 0.8\]",
        ):
            runs.check_canary(RUN, losses)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seconds", -5),
        ("seconds", None),
        ("seconds", "1"),
        ("versions", []),
        ("date", "yesterday"),
        ("device", ""),
        ("commit", 7),
    ],
)
def test_provenance_that_cannot_be_is_refused(name, value):
    runs.save(RUN, {"layer.weight": torch.zeros(1)})
    edit(lambda record: record["provenance"].update({name: value}))
    with pytest.raises(runs.RunError, match=f"one.json: {name} of its provenance is"):
        runs.load("toy", "one")


def test_provenance_says_where_a_run_comes_from():
    found = runs.provenance("digest")
    commit, why_none = runs.commit()
    assert found["commit"] == commit
    assert why_none or len(commit) == 40
    assert found["data_sha256"] == "digest"
    assert found["versions"]["torch"] == torch.__version__
    json.dumps(found)


def git(folder, *arguments):
    if not shutil.which("git"):
        pytest.skip("no Git on this system")
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env=os.environ
        | {
            f"GIT_{who}_{what}": "a"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        },
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def test_uncommitted_changes_are_those_of_the_code(monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "ROOT", tmp_path)
    for name in ("code/a.py", "pyproject.toml", "requirements.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "a")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "one.json").write_text("{}")
    assert not runs.provenance("")["uncommitted_changes"]
    (tmp_path / "code" / "a.py").write_text("2")
    assert runs.provenance("")["uncommitted_changes"]


def test_the_commit_of_a_repository_around_the_project_is_not_its_own(
    monkeypatch, tmp_path
):
    root = tmp_path / "unpacked"
    root.mkdir()
    (root / "pyproject.toml").write_text("1")
    (tmp_path / "other").write_text("1")
    git(tmp_path, "init")
    git(tmp_path, "add", "other")
    git(tmp_path, "commit", "-m", "a")
    monkeypatch.setattr(runs, "ROOT", root)
    assert runs.commit() == ("", "no commit of a Git repository")
    assert not runs.provenance("")["uncommitted_changes"]
    # unless it has the project
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "b")
    assert runs.commit() == (git(tmp_path, "rev-parse", "HEAD"), "")


def test_why_no_commit_is_known(monkeypatch, tmp_path):
    (tmp_path / "pyproject.toml").write_text("1")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    monkeypatch.setattr(runs, "ROOT", tmp_path)
    assert runs.commit() == ("", "no commit of a Git repository")
    git(tmp_path, "commit", "-m", "a")
    assert len(runs.commit()[0]) == 40
    # Git's own switch for its tests: every folder is another user's
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert "refuses the folder of another user" in runs.commit()[1]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert runs.commit() == ("", "no known commit, since Git is not installed")
    assert runs.provenance("")["commit"] == ""


def test_one_value_has_no_standard_deviation():
    with pytest.raises(runs.RunError, match="two seeds or more"):
        runs.over_seeds([0.8])


def test_weights_of_the_run_that_was_replaced_are_removed(folder):
    runs.save(RUN, WEIGHTS)
    runs.save(RUN)
    assert [file.name for file in (folder / "toy").iterdir()] == ["one.json"]


def test_a_device_is_described_with_its_name():
    assert runs.describe(torch.device("cpu")) == runs.describe("cpu")
    assert runs.describe("cpu").startswith("cpu: ")
    if torch.cuda.is_available():
        assert torch.cuda.get_device_name() in runs.describe("cuda")
