"""The oldest versions with which the notebook is tested."""

import importlib.util
import tomllib

from hw2.paths import ROOT

spec = importlib.util.spec_from_file_location("oldest", ROOT / "code" / "oldest.py")
oldest = importlib.util.module_from_spec(spec)
spec.loader.exec_module(oldest)


def test_a_lower_bound_is_the_version_that_is_installed():
    text = '[project]\ndependencies = ["torch>=2.8", "antlr==4.11.*", "tqdm"]'
    assert oldest.requirements(text) == ["torch==2.8.*", "antlr==4.11.*", "tqdm"]


def test_what_hosted_notebooks_have_is_allowed():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    bounds = dict(
        dependency.split(">=")
        for dependency in tomllib.loads(text)["project"]["dependencies"]
        if ">=" in dependency
    )
    assert bounds == bounds | {
        "torch": "2.8",
        "numpy": "2.0",
        "pandas": "2.2",
        "scikit-learn": "1.6",
        "matplotlib": "3.10",
        "sympy": "1.13",
    }


def test_what_is_left_out_is_there():
    file, name = oldest.LEFT_OUT.split("::")
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")
