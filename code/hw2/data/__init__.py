"""Datasets: one module each. Every file is verified against its digest before this
package reads it.

A file is looked for in the data folder (`data/`, or the folder that HW2_DATA names),
then in the mirror that HW2_DATA_MIRROR names (a folder or a URL), then at its official
source.
"""

import hashlib
import http.client
import os
import socket
import string
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch.hub import download_url_to_file

from hw2.paths import ROOT

SCHEMES = ("http", "https", "ftp", "file")  # of a mirror
SILENCE = 60  # seconds after which a server that sends nothing is given up


class DataError(Exception):
    """A data file is missing, damaged or not what it should be; the message says which,
    and what to do.
    """


class NotAtHandError(DataError):
    """A data file is nowhere where it was looked for."""


@dataclass(frozen=True)
class DataFile:
    """A file of a dataset. `fetch` writes it to a given path from the official source
    `source`, a URL or a name.
    """

    name: str
    sha256: str
    size: int
    source: str
    fetch: Callable[[Path], None]


def folder() -> Path:
    """The data folder, where downloads and caches go."""
    return Path(os.environ.get("HW2_DATA") or ROOT / "data")


def locate(file: DataFile) -> Path:
    """The verified file, downloaded into the data folder where it is not at hand.

    Raises DataError for a file that is damaged, truncated or another one or cannot be
    read, NotAtHandError where no source can be reached.
    """
    mirror = os.environ.get("HW2_DATA_MIRROR", "")
    here = folder() / file.name
    if not _usable(mirror):
        raise DataError(
            f"HW2_DATA_MIRROR={mirror} is no URL that can be used; give a folder, or a "
            f"URL that begins with {', '.join(SCHEMES)}"
        )
    for candidate in (
        here,
        *([Path(mirror) / file.name] if mirror and "://" not in mirror else []),
    ):
        try:
            if candidate.is_file():
                return verify(candidate, file)
        except OSError as error:
            raise DataError(
                f"{candidate} cannot be read ({error}); change that, or set HW2_DATA "
                "to a folder of yours"
            ) from None
    attempts: list[tuple[str, Callable[[Path], None]]] = [(file.source, file.fetch)]
    if "://" in mirror:
        url = urllib.parse.quote(
            f"{mirror.rstrip('/')}/{file.name}", string.punctuation
        )
        attempts.insert(0, (url, lambda path: download(url, path)))
    try:
        here.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=here.parent, prefix=".download-")
    except OSError as error:
        raise NotAtHandError(
            f"{file.name} is not in {here.parent}, and nothing can be written there "
            f"({error}); set HW2_DATA to a folder of yours, or put the file there"
        ) from None
    failures: list[str] = []
    with scratch as inside:
        path = Path(inside) / file.name
        for source, fetch in attempts:
            try:
                with _given_up():
                    fetch(path)
            except NotAtHandError as error:
                error.args = ("\n  ".join([str(error), *failures]),)
                raise
            except http.client.HTTPException as error:  # no OSError, unlike URLError
                failures.append(f"{source}: the download was cut, try again: {error!r}")
                continue
            except OSError as error:
                failures.append(f"{source}: {error}")
                continue
            os.replace(verify(path, file, source), here)
            return here
    raise NotAtHandError(
        f"{file.name} not found. Put it (SHA-256 {file.sha256}, {file.size:,} bytes) "
        f"into {here.parent}, "
        "or set HW2_DATA_MIRROR to a folder or URL that has it. Tried:\n  "
        + "\n  ".join(failures)
    )


@contextmanager
def _given_up() -> Iterator[None]:
    """Downloads end with an error where nothing comes any more; torch's have no limit
    of their own.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _usable(mirror: str) -> bool:
    """Whether it is a folder's name, or a URL of a kind that is known."""
    try:
        parts = urllib.parse.urlsplit(mirror)
        return "://" not in mirror or (parts.scheme in SCHEMES and parts.port != 0)
    except ValueError:  # no address, or no port
        return False


def verify(path: Path, file: DataFile, source: str = "") -> Path:
    """The path itself, if its content is the expected one. Raises DataError otherwise,
    and leaves the file alone.
    """
    name, remedy = (source, _AGAIN) if source else (str(path), _REMOVE)
    if (size := path.stat().st_size) != file.size:
        raise DataError(
            f"{name} has {size:,} bytes, expected {file.size:,}: it is truncated or "
            f"another file; {remedy}"
        )
    with path.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != file.sha256:
        raise DataError(
            f"{name} has SHA-256 {found}, expected {file.sha256}: it is damaged or "
            f"another file; {remedy}"
        )
    return path


def verify_rows(name: str, parts: Sequence[np.ndarray], sha256: str) -> None:
    """Raises DataError for parts, arrays of row numbers, with another SHA-256."""
    content = b"".join(np.asarray(part, dtype="<i8").tobytes() for part in parts)
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise DataError(
            f"the rows of {name} are split otherwise than those of the recorded runs "
            f"(SHA-256 {found}, expected {sha256}): the code was changed, or this "
            "version of scikit-learn draws others than that of requirements.lock"
        )


_REMOVE = "remove it and run again: what is missing is fetched, where it can be"
_AGAIN = "run again, or set HW2_DATA_MIRROR to a good copy"


def download(url: str, path: Path) -> None:
    """Download with a progress bar. Raises URLError or OSError where the source cannot
    be reached.
    """
    download_url_to_file(url, str(path), progress=True)
