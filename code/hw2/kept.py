"""Results that take seconds to compute, kept on disk for the next render.

A result is found again under a digest of all that it depends on: the function's module
and all modules of this package that it imports, as they were read when the function was
defined, with the files beside them that they name, its arguments, and the versions of
what computes. An entry holds JSON and NumPy arrays: nothing is unpickled, and it makes
objects of those dataclasses only that the function's annotation names.

`HW2_KEEP` names another folder, or turns this off: `HW2_KEEP=0`.
"""

import ast
import contextlib
import functools
import hashlib
import importlib.metadata
import inspect
import io
import json
import os
import platform
import re
import time
import typing
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hw2.paths import ROOT, write

PACKAGE = __name__.partition(".")[0]
COMPUTING = (
    "antlr4-python3-runtime",
    "kornia",
    "lark",
    "numpy",
    "scikit-learn",
    "scipy",
    "sympy",
    "torch",
    "torchvision",
)
SOURCE = Path(__file__).parent
STARTED = time.time()
MONTH = 30 * 24 * 3600.0  # seconds, after which an entry is dropped
NAMED = re.compile(r"[\w-]+\.(?!py$)\w+")  # a file beside a module
ENTRY = re.compile(r".+(-[0-9a-f]{20}){2}")  # the name of one


def kept(call: Callable) -> Callable:
    """A function whose results are kept in memory and on disk. Its arguments tell by
    their `repr` what they are.

    Raises ValueError for a function of another package, and TypeError for a result that
    cannot be kept.
    """
    name, signature = f"{call.__module__}.{call.__qualname__}", inspect.signature(call)
    if call.__module__.partition(".")[0] != PACKAGE:
        raise ValueError(
            f"{name} is not of {PACKAGE}; only there it is known what a result "
            "depends on"
        )

    digest(call.__module__)  # of the code that runs, whatever becomes of its files

    @functools.wraps(call)
    def found(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return value(
            (name, repr(bound.arguments)),
            (call.__module__,),
            lambda: call(*args, **kwargs),
            typing.get_type_hints(call).get("return"),
        )

    return functools.cache(found)


def value(
    of: tuple[str, str],
    modules: Sequence[str],
    compute: Callable[[], Any],
    annotation: Any,
    worth: Callable[[Any], bool] = lambda _: True,
) -> Any:
    """What `compute` returns, from disk where it is known: `of` is its name and what
    else it depends on beside the code of some modules.

    It is what was read back also where it has just been computed, so that a sum over it
    never depends on how its arrays lie in memory. A result that is not `worth` it is
    not kept.
    """
    with contextlib.suppress(LookupError):
        return find(of, modules, annotation)
    found, types = compute(), dataclasses_of(annotation)
    content = dump(found, types)
    if worth(found):
        keep(entry(*of, modules), content)
    return load(content, types)


def find(of: tuple[str, str], modules: Sequence[str], annotation: Any) -> Any:
    """The value that is known from before. Raises LookupError where there is none, or
    something is wrong with it.
    """
    try:
        return read(entry(*of, modules), dataclasses_of(annotation))
    except Exception as error:  # whatever is wrong with it, if it exists
        raise LookupError(of[0]) from error


def has(of: tuple[str, str], modules: Sequence[str]) -> bool:
    """Whether there is an entry."""
    file = entry(*of, modules)
    with contextlib.suppress(OSError):  # a folder that cannot be read
        return file is not None and file.is_file()
    return False


# --- what a result depends on ---


@functools.cache
def _source(module: str) -> tuple[bytes | None, frozenset[str]]:
    """The source of a module of this package, with the files beside it that it names,
    and what it imports. Empty for what is no module, such as a function; None where it
    was written since this process began, so that perhaps another one runs.
    """
    package, *path = module.split(".")
    if package != PACKAGE:
        return b"", frozenset()
    place = SOURCE.joinpath(*path)
    files = [place.with_name(f"{place.name}.py"), place / "__init__.py"]
    if not (file := next(filter(Path.is_file, files), None)):
        return b"", frozenset()
    text, names = file.read_bytes(), set()
    beside: set[str] = set()  # such as a grammar
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            beside |= {node.value} if NAMED.fullmatch(node.value) else set()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    others = [
        other for name in sorted(beside) if (other := file.parent / name).is_file()
    ]
    if max(read.stat().st_mtime for read in (file, *others)) > STARTED:
        return None, frozenset()
    parts = [text, *(other.read_bytes() for other in others)]
    return b"\0".join(parts), frozenset(names)


@functools.cache
def digest(*modules: str) -> str:
    """A digest of some modules and of all modules of this package that they import, and
    these import, also inside functions. Empty where one is not of this package, or not
    known.
    """
    seen, todo = {}, list(modules)
    while todo:
        if (name := todo.pop()) not in seen:
            seen[name], imported = _source(name)
            todo += imported
            if parent := name.rpartition(".")[0]:  # the module of a name, the package
                todo.append(parent)
    known = {name: text for name, text in seen.items() if text is not None}
    if len(known) < len(seen) or not all(known[name] for name in modules):
        return ""
    parts = [name.encode() + b"\0" + known[name] for name in sorted(known)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


# --- the files ---


def folder() -> Path | None:
    """Where results are kept, None for nowhere."""
    where = os.environ.get("HW2_KEEP") or ROOT / ".build" / "kept"
    return None if where == "0" else Path(where)


@functools.cache
def versions() -> str:
    """Of Python and of the packages that compute, as far as they are installed."""
    found = [platform.python_version()]
    for name in COMPUTING:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    return ", ".join(found)


def entry(name: str, arguments: str, modules: Sequence[str]) -> Path | None:
    """The file of a result, None where it is not kept: its name has two digests, of the
    arguments and of all that it depends on.
    """
    if (where := folder()) is None or not (code := digest(*modules)):
        return None
    first, second = (
        hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
        for parts in ((arguments,), (arguments, code, versions()))
    )
    return where / f"{name}-{first}-{second}.npz"


def keep(file: Path | None, content: bytes) -> None:
    """Write an entry in one step, and drop the one that it replaces and those older
    than a month. Where nothing may be written, nothing is.
    """
    if file is None:
        return
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, content)
        for other in file.parent.glob("*.npz"):
            if not ENTRY.fullmatch(other.stem):  # somebody else's
                continue
            old = time.time() - other.stat().st_mtime > MONTH
            if old or (other != file and _about(other) == _about(file)):
                other.unlink(missing_ok=True)


def _about(file: Path) -> str:
    """The name of an entry without the digest of the code: what it is a result of."""
    return file.stem.rpartition("-")[0]


def read(file: Path | None, types: dict[str, type]) -> Any:
    """The value in an entry. Raises whatever is wrong with it, FileNotFoundError where
    there is none.
    """
    if file is None:
        raise FileNotFoundError
    return load(file.read_bytes(), types)


# --- what is in them ---


def dataclasses_of(annotation: Any) -> dict[str, type]:
    """The dataclasses and named tuples in an annotation and in their fields', by
    name.
    """
    found, todo = {}, [annotation]
    while todo:
        kind = todo.pop()
        todo += typing.get_args(kind)
        if isinstance(kind, type) and kind.__qualname__ not in found and _names(kind):
            found[kind.__qualname__] = kind
            todo += typing.get_type_hints(kind).values()
    return found


def _names(kind: type) -> list[str]:
    """The fields of a dataclass or of a named tuple; none of another type."""
    if is_dataclass(kind):
        return [field.name for field in fields(kind) if field.init]
    return list(getattr(kind, "_fields", ())) if issubclass(kind, tuple) else []


def dump(value: Any, types: dict[str, type]) -> bytes:
    """A value as the content of a file. Raises TypeError where a part of it is of no
    type that can be kept.
    """
    arrays: dict[str, np.ndarray] = {}

    def code(part: Any) -> Any:
        kind = type(part)
        if part is None or kind in (bool, int, float, str):
            return part
        if kind in (tuple, list):
            return {kind.__name__: [code(item) for item in part]}
        if kind is dict:
            return {"dict": [[code(key), code(item)] for key, item in part.items()]}
        if isinstance(part, np.ndarray | np.generic) and part.dtype.kind != "O":
            arrays[str(len(arrays))] = np.asarray(part)
            return {
                "array" if isinstance(part, np.ndarray) else "scalar": len(arrays) - 1
            }
        if types.get(kind.__qualname__) is kind:
            return {"of": kind.__qualname__} | {
                "with": [code(getattr(part, name)) for name in _names(kind)]
            }
        raise TypeError(
            f"a {kind.__qualname__} cannot be kept; keep its numbers, or name it in "
            "the annotation of what is returned"
        )

    file = io.BytesIO()
    content: dict[str, Any] = {"text": np.array(json.dumps(code(value))), **arrays}
    np.savez(file, **content)
    return file.getvalue()


def load(content: bytes, types: dict[str, type]) -> Any:
    """The value in the content of a file. Raises whatever is wrong with it."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}

    def decode(part: Any) -> Any:
        if not isinstance(part, dict):
            return part
        if "of" in part:
            kind = types[part["of"]]
            values = map(decode, part["with"])
            return kind(**dict(zip(_names(kind), values, strict=True)))
        ((kind, inside),) = part.items()
        if kind == "dict":
            return {decode(key): decode(item) for key, item in inside}
        if kind in ("array", "scalar"):
            array = arrays[str(inside)]
            return array if kind == "array" else array[()]
        return {"tuple": tuple, "list": list}[kind](decode(item) for item in inside)

    return decode(json.loads(str(arrays["text"])))
