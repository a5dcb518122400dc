"""MAGIC gamma telescope (Bock et al. 2004; UCI Machine Learning Repository, CC BY 4.0).

19,020 simulated showers with 10 features each; signal (g, gamma) or background (h,
hadron). The label is 0 for g and 1 for h, as in the assignment's example.
"""

import shutil
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from hw2 import data
from hw2.paths import ROOT

FEATURES = [
    "fLength",
    "fWidth",
    "fSize",
    "fConc",
    "fConc1",
    "fAsym",
    "fM3Long",
    "fM3Trans",
    "fAlpha",
    "fDist",
]
LABELS = {"g": 0, "h": 1}
COUNT = 19_020
UCI = "https://archive.ics.uci.edu/static/public/159/magic+gamma+telescope.zip"


def _fetch(path: Path) -> None:
    if (own := ROOT / "data" / path.name).is_file():  # comes with the repository
        shutil.copyfile(data.verify(own, FILE), path)
        return
    archive = path.with_suffix(".zip")
    data.download(UCI, archive)
    try:
        with (
            zipfile.ZipFile(archive) as content,
            content.open(path.name) as member,
            path.open("wb") as target,
        ):
            shutil.copyfileobj(member, target)
    except (zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise data.DataError(
            f"{UCI} is no archive with a {path.name} in it: {error}"
        ) from None


FILE = data.DataFile(
    "magic04.data",
    "e9314b7ebd4b4b59a3b3d65f7316663963777b16a46786877651dbbaa640b36a",
    1_477_391,
    UCI,
    _fetch,
)


def load() -> pd.DataFrame:
    """All rows in the file's order: the ten FEATURES as floats, `class` as "g" or "h".
    Raises DataError.
    """
    return pd.read_csv(data.locate(FILE), names=[*FEATURES, "class"])


@dataclass(frozen=True)
class Split:
    """Row numbers of the three parts of the data, each in ascending order, without
    overlap.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


# SHA-256 of the row numbers that the recorded runs were split by
SEED = 211
ROWS = "5008d8b84cbd13e86e08a64ae3bdc8cfe0cd67a6eac4606dec2e8cc143a20ad1"


def split(frame: pd.DataFrame, seed: int = SEED) -> Split:
    """70 % train, 10 % validation, 20 % test, stratified by class.

    Copies of a row stay together: the different rows are split, and each copy goes
    where its original went, so that no test row is a copy of a row that was trained on.
    The shares therefore hold for the different rows. Raises DataError where the whole
    data come out in other parts than those of the recorded runs.
    """
    group = copies(frame)
    label = frame["class"].to_numpy()[~frame.duplicated()]
    rest, test = train_test_split(
        np.arange(len(label)), test_size=0.2, stratify=label, random_state=seed
    )
    train, validation = train_test_split(
        rest, test_size=0.125, stratify=label[rest], random_state=seed
    )
    parts = [np.flatnonzero(np.isin(group, part)) for part in (train, validation, test)]
    if seed == SEED and len(frame) == COUNT:
        data.verify_rows(FILE.name, parts, ROWS)
    return Split(*parts)


def copies(frame: pd.DataFrame) -> np.ndarray:
    """A number for each row (rows, int64), the same for exact copies; numbered from 0
    as they first appear.
    """
    return frame.groupby([*FEATURES, "class"], sort=False).ngroup().to_numpy()


def arrays(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Features (rows x 10, float64) and labels (rows, int64: 0 for g, 1 for h)."""
    return frame[FEATURES].to_numpy(), frame["class"].map(LABELS).to_numpy()
