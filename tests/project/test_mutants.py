"""The errors that are planted in the package, on a package of one function."""

import ast
import importlib.util
import time
from pathlib import Path

import psutil
import pytest

FILE = Path(__file__).parents[2] / "code" / "mutants.py"
spec = importlib.util.spec_from_file_location("mutants", FILE)
mutants = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mutants)

MODULE = '''
def clip(x: float, low: float = 0.0) -> float:
    """x, but no less than `low`."""
    if not (x >= low and x == x):
        return max(x + 1 - 1, low)
    return round(x, ndigits=9)
'''


def told(source):
    return [str(place) for place in mutants.places(ast.parse(source))]


def test_each_kind_of_error_is_planted_once():
    assert sorted(told(MODULE)) == sorted(
        [
            "0.0 -> 1.0",
            "not (x >= low and x == x) -> x >= low and x == x",
            "x >= low and x == x -> x >= low or x == x",
            "x >= low -> x > low",
            "x == x -> x != x",
            "x + 1 - 1 -> x + 1 + 1",
            "x + 1 -> x - 1",
            "1 -> 2",
            "1 -> 2",
            "round(x, ndigits=9) -> round(x)",
            "9 -> 10",
        ]
    )


def test_only_the_planted_place_is_another_and_the_tree_stays():
    tree = ast.parse(MODULE)
    honest = ast.unparse(tree)
    for place in mutants.places(tree):
        lines = mutants.planted(tree, place).splitlines()
        assert sum(a != b for a, b in zip(lines, honest.splitlines(), strict=True)) == 1
    assert ast.unparse(tree) == honest


def test_what_a_hanging_check_has_begun_ends_with_it(tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "hangs.py").write_text(
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '300'])\n"
        "open('pid', 'w').write(str(child.pid))\n"
        "child.wait()\n"
    )
    monkeypatch.setattr(mutants, "LIMIT", 2)
    assert mutants.fails(["hangs"], tmp_path)
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not alive(pid):
            break
        time.sleep(0.05)
    assert not alive(pid)


def alive(pid):
    """Whether there is such a process, other than one that waits to be forgotten."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose test knows the case below `low` and not the one above."""
    code, tests = tmp_path / mutants.PACKAGE, tmp_path / mutants.TESTS
    code.mkdir(parents=True)
    tests.mkdir(parents=True)
    (code / "clip.py").write_text(MODULE)
    (tests / "test_clip.py").write_text(
        "import importlib.util, pathlib\n"
        "file = pathlib.Path(__file__).parents[2] / 'code' / 'hw2' / 'clip.py'\n"
        "spec = importlib.util.spec_from_file_location('clip', file)\n"
        "clip = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(clip)\n"
        "def test_below():\n    assert clip.clip(-1) == 0\n"
    )
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    return tmp_path


def test_what_the_tests_notice_is_told_from_what_they_do_not(project):
    module = mutants.PACKAGE / "clip.py"
    assert mutants.modules("") == [module]
    tree = ast.parse(MODULE)
    found = {
        str(place): mutants.noticed(project, module, mutants.planted(tree, place))
        for place in mutants.places(tree)
        if str(place) in ("0.0 -> 1.0", "9 -> 10")
    }
    assert found == {"0.0 -> 1.0": True, "9 -> 10": False}
    assert (project / module).read_text() == MODULE


def test_what_a_claim_says_is_wrong_is_left_alone():
    tree = ast.parse('@claim("eq-a", claimed=1, mutants={"one more": 2})\ndef f(): ...')
    found = {str(place) for place in mutants.places(tree)}
    assert "1 -> 2" in found
    assert "2 -> 3" not in found
