"""Plant random errors in the package, one at a time, and see whether its tests notice.

Each error changes one place of one module in a copy of the project (a comparison, an
operation, a number, a condition, a keyword argument, a statement that is left out), and
the tests of that module run. Where these pass, the formulas and claims of its question
are verified, if it has any: they are what a derivation or a world is tested by. What
survives is printed with file and line: either a test is missing, or the change is
harmless. Needs the standard library alone.
"""

import argparse
import ast
import contextlib
import copy
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE, TESTS = Path("code/hw2"), Path("tests/hw2")
LIMIT = 600  # seconds, after which an error counts as noticed: the tests hang
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATIONS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Pow: ast.Mult,
}


def changed(node: ast.AST) -> Iterator[ast.AST]:
    """The wrong versions of one node of a syntax tree."""
    other = copy.deepcopy(node)
    match other:
        case ast.Compare() if type(other.ops[0]) in COMPARISONS:
            other.ops[0] = COMPARISONS[type(other.ops[0])]()
            yield other
        case ast.BinOp() if type(other.op) in OPERATIONS:
            other.op = OPERATIONS[type(other.op)]()
            yield other
        case ast.BoolOp():
            other.op = ast.Or() if isinstance(other.op, ast.And) else ast.And()
            yield other
        case ast.UnaryOp(op=ast.Not()):
            yield other.operand
        case ast.Constant(value=bool()):
            other.value = not other.value
            yield other
        case ast.Constant(value=int() | float() as number):
            other.value = number + 1
            yield other
        case ast.Call() if other.keywords:
            for i in range(len(other.keywords)):
                fewer = copy.deepcopy(other)
                del fewer.keywords[i]
                yield fewer
        case ast.AugAssign() | ast.Raise() | ast.Assert():
            yield ast.Pass()
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()


class Place(NamedTuple):
    """One error that can be planted: in which field of which node, and what."""

    parent: ast.AST
    field: str
    position: int | None
    node: ast.AST
    other: ast.AST

    def put(self, node: ast.AST) -> None:
        """Put a node into this place."""
        if self.position is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.position] = node

    def __str__(self) -> str:
        told = f"{ast.unparse(self.node)} -> {ast.unparse(self.other)}"
        return " ".join(told.split())[:120]


def places(tree: ast.AST) -> Iterator[Place]:
    """All errors that can be planted in a module, but for those in the wrong versions
    of a claim: they would only be wrong in another way.
    """
    wrong = {
        id(node)
        for keyword in ast.walk(tree)
        if isinstance(keyword, ast.keyword) and keyword.arg == "mutants"
        for node in ast.walk(keyword)
    }
    for parent in ast.walk(tree):
        if id(parent) in wrong:
            continue
        for field, value in ast.iter_fields(parent):
            if field in ("annotation", "returns", "decorator_list"):
                continue
            nodes = enumerate(value) if isinstance(value, list) else [(None, value)]
            for index, node in nodes:
                if isinstance(node, ast.AST):
                    for other in changed(node):
                        yield Place(parent, field, index, node, other)


def planted(tree: ast.AST, place: Place) -> str:
    """The module with one error in it."""
    place.put(place.other)
    text = ast.unparse(ast.fix_missing_locations(tree))
    place.put(place.node)
    return text


def tests_of(module: Path) -> list[Path]:
    """The test files of a module, from the folder of the project."""
    inside = module.relative_to(PACKAGE)
    begin = inside.stem.partition("_")[0]  # `magic_notebook` is tested with `magic`
    stems = {inside.stem, begin, inside.parent.name or inside.stem}
    names = {f"test_{stem}.py" for stem in stems}
    folder = TESTS / inside.parent
    found = [
        folder / name for name in sorted(names) if (ROOT / folder / name).is_file()
    ]
    for part, test in (("tasks", "test_recorded.py"), ("plots", "test_seals.py")):
        file = TESTS / test  # today's settings are the recorded ones, words are sealed
        if inside.parent.name == part and (ROOT / file).is_file():
            found.append(file)
    if inside.parent.name == "formulas":  # what judges them is tested in each world
        worlds = (ROOT / TESTS / "worlds").glob("test_*.py")
        found += [file.relative_to(ROOT) for file in sorted(worlds)]
    return found


def question_of(module: Path) -> str:
    """The question (or task) whose formulas a module is about, or nothing."""
    if module.parent.name == "worlds":
        return module.stem if re.fullmatch(r"[qt]\d", module.stem) else ""
    text = (ROOT / module).read_text(encoding="utf-8")
    found = re.search(r'claim\(\s*"[a-z]+-([qt]\d)-', text)
    return found[1] if found else ""


def checks_of(module: Path) -> list[list[str]]:
    """What notices an error in a module: its tests, and then its formulas."""
    tests, question = tests_of(module), question_of(module)
    checks = []
    if tests:
        checks.append(
            ["pytest", "-x", "-q", "-p", "no:cacheprovider", *map(str, tests)]
        )
    if question:
        checks.append(["hw2", "verify", "--only", question])
    return checks


def modules(only: str) -> list[Path]:
    """The modules that have checks of their own, those whose path contains `only`."""
    files = sorted((ROOT / PACKAGE).rglob("*.py"))
    found = [file.relative_to(ROOT) for file in files]
    return [file for file in found if only in str(file) and checks_of(file)]


def fails(check: list[str], project: Path) -> bool:
    """Whether a check fails or hangs. What it has begun ends with it."""
    with subprocess.Popen(
        [sys.executable, "-m", *check],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project / "code"), "HW2_KEEP": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            return process.wait(LIMIT) != 0
        except subprocess.TimeoutExpired:
            return True
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def noticed(project: Path, module: Path, text: str) -> bool:
    """Whether the checks of a module fail where it has this text."""
    file = project / module
    honest = file.read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    try:
        return any(fails(check, project) for check in checks_of(module))
    finally:
        file.write_text(honest, encoding="utf-8")


def main() -> int:
    """Plant some errors, print those that survive. Returns 1 for more than a tenth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="errors in all")
    parser.add_argument("--seed", type=int, default=0, help="other seed, other errors")
    parser.add_argument("--only", default="", help="modules whose path contains this")
    given = parser.parse_args()
    chance = random.Random(given.seed)
    trees = {
        module: ast.parse((ROOT / module).read_text(encoding="utf-8"))
        for module in modules(given.only)
    }
    pool = [(module, place) for module, tree in trees.items() for place in places(tree)]
    if not pool:
        parser.error(f"no module with tests has {given.only!r} in its path")
    if given.count < 1:
        parser.error(f"--count {given.count}: give a number from 1 on")
    chosen = chance.sample(pool, min(given.count, len(pool)))
    survivors = 0
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch) / "project"
        shutil.copytree(
            ROOT, project, ignore=shutil.ignore_patterns(".git", ".venv", ".build")
        )
        sound = set()
        for done, (module, place) in enumerate(chosen, 1):
            if module not in sound:
                honest = (project / module).read_text(encoding="utf-8")
                if noticed(project, module, honest):
                    parser.error(f"the checks of {module} fail as it is; mend that")
                sound.add(module)
            start = time.perf_counter()
            good = noticed(project, module, planted(trees[module], place))
            line = getattr(place.node, "lineno", 0)
            survivors += not good
            print(
                f"{done}/{len(chosen)} {'noticed ' if good else 'SURVIVED'} "
                f"{module}:{line}: {place} ({time.perf_counter() - start:.0f} s)",
                flush=True,
            )
    print(
        f"{survivors} of {len(chosen)} planted errors survived ({len(pool)} possible)"
    )
    return int(survivors > len(chosen) / 10)


if __name__ == "__main__":
    sys.exit(main())
