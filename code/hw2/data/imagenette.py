"""Imagenette at 64 x 64 (Howard 2019, github.com/fastai/imagenette): ten classes of
ImageNet (Russakovsky et al. 2015).

9,469 training images and 3,925 test images (the folder `val`), resized as the
assignment says and kept as one tensor. They come from the official archive, or from a
mirror's copy of the same images, squashed to 224 x 224. Images are decoded from the
archive in memory; only torchvision's download extracts it once, into a folder that is
removed.
"""

import errno
import hashlib
import io
import os
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from sklearn.model_selection import train_test_split
from torch import Tensor
from tqdm import tqdm

from hw2 import data
from hw2.data import DataError, DataFile, NotAtHandError
from hw2.paths import write

SIDE = 64
# folder (WordNet ID) -> name, in the assignment's order; the label is the place in it
CLASSES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
NAMES = tuple(CLASSES.values())
COUNTS = {"train": 9_469, "val": 3_925}
LARGEST_ARCHIVE, LARGEST_IMAGE = (
    2**30,
    2**24,
)  # bytes and pixels in all, far above what the archives have


class _NotPublishedError(NotAtHandError):
    """Raised instead of a download of the squashed archive."""


def _only_in_mirrors(path: Path) -> None:
    raise _NotPublishedError(
        f"{path.name} is nowhere published; put a copy into {data.folder()}, or set "
        "HW2_DATA_MIRROR to a folder or URL that has it"
    )


def _fetch(path: Path) -> None:
    from torchvision.datasets import (
        Imagenette,
    )  # seconds to import, and needed here only

    try:
        Imagenette(
            path.parent, size="160px", download=True
        )  # leaves its archive at `path`
    except RuntimeError as error:
        raise DataError(
            f"{OFFICIAL.source}: {error} Run again, or set HW2_DATA_MIRROR to a good "
            "copy"
        ) from None


FILE = DataFile(
    "imagenette2-224sq.tar",
    "e964a28d7fe4f8780b4afc84be6616b26ac3ac23b4b78984fc17d83acb8205c7",
    150_476_800,
    "a mirror",
    _only_in_mirrors,
)
OFFICIAL = DataFile(
    "imagenette2-160.tgz",
    "64d0c4859f35a461889e0147755a999a48b49bf38a7e0f9bd27003f10db02fe5",
    99_003_388,
    'torchvision.datasets.Imagenette(size="160px", download=True)',
    _fetch,
)


# SHA-256 of what an archive gives when it is decoded, where that is known: a cache with
# another one is made again
DECODED = {
    FILE.sha256: "c3c89b50022c9c0731c67724afbafe006d652d114b25cbd6aa492b384999462d"
}


@dataclass(frozen=True)
class Images:
    """Images (N, 3, 64, 64) in uint8 with their labels (N) in int64, by class, and by
    file name within a class.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Tensor) -> "Images":
        return Images(self.images[rows], self.labels[rows])

    def to(self, device: torch.device) -> "Images":
        return Images(self.images.to(device), self.labels.to(device))


class Imagenette(NamedTuple):
    """The two parts of the data set, the archive that they are from, and the SHA-256 of
    all images and labels.
    """

    train: Images
    test: Images
    archive: DataFile
    digest: str


def load() -> Imagenette:
    """The whole data set, decoded once and then read from the data folder.

    It is from the squashed archive `FILE` where the data folder or a mirror has it,
    else from the `OFFICIAL` one, which is downloaded where it is not at hand; their
    images differ by rounding. Raises DataError.
    """
    try:
        return _load(FILE)
    except _NotPublishedError as error:
        if os.environ.get("HW2_DATA_MIRROR"):
            print(f"{error}\nInstead: {OFFICIAL.name}", file=sys.stderr)
        return _load(OFFICIAL)


def at_hand() -> bool:
    """Whether `FILE` itself is there, and not only what was decoded from it."""
    try:
        return data.locate(FILE).is_file()
    except NotAtHandError:
        return False


# SHA-256 of the numbers of the validation images that the recorded runs had
SEED = 211
ROWS = "faf4043382be389f5d6d54a439b52e232c336bdaef9adc0d51eca84eb3d249a1"


def split(labels: Tensor, seed: int = SEED) -> tuple[Tensor, Tensor]:
    """Row numbers of the training and the validation part, each ascending; the latter
    is 10 % of each class. Raises DataError where all images come out in other parts
    than those of the recorded runs.
    """
    parts = train_test_split(
        np.arange(len(labels)), test_size=0.1, stratify=labels, random_state=seed
    )
    training, validation = (np.sort(part) for part in parts)
    if seed == SEED and len(labels) == COUNTS["train"]:
        data.verify_rows("Imagenette", [validation], ROWS)
    return torch.from_numpy(training), torch.from_numpy(validation)


# --- from an archive to a tensor ---


def _load(file: DataFile) -> Imagenette:
    cached = data.folder() / f"{PurePosixPath(file.name).stem}-{SIDE}px.safetensors"
    if cached.is_file() and (found := _read(cached, file)):
        return found
    parts = decode(data.locate(file))
    for part, expected in COUNTS.items():
        if (count := len(parts[part])) != expected:
            raise DataError(
                f"{file.name} has {count:,} images in {part}/, expected {expected:,}: "
                "it is another file"
            )
    found = Imagenette(
        parts["train"], parts["val"], file, digest(parts["train"], parts["val"])
    )
    with suppress(OSError):  # in a folder that cannot be written to it is read anew
        _write(cached, found)
    return found


def resize(content: bytes) -> np.ndarray:
    """An image file as (3, 64, 64) in uint8: what torchvision's Resize((64, 64)) gives.
    Raises OSError, ValueError.
    """
    with Image.open(io.BytesIO(content)) as image:
        if image.width * image.height > LARGEST_IMAGE:
            raise ValueError(f"{image.width} x {image.height} pixels")
        small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))


def decode(
    archive: Path,
    convert: Callable[[bytes], np.ndarray] = resize,
    parts: Sequence[str] = tuple(COUNTS),
) -> dict[str, Images]:
    """The images of the folders train/ and val/ of an archive, or of one of them, each
    as `convert` makes it of its file, in as many threads as there are cores.

    Raises DataError for an archive that is truncated or holds what it should not, and
    names an image that is damaged.
    """

    def pixels(member: tuple[str, bytes]) -> tuple[str, np.ndarray]:
        try:
            return member[0], convert(member[1])
        except (
            OSError,
            ValueError,
            SyntaxError,
        ) as error:  # what PIL raises for bad content
            raise DataError(
                f"{archive}: {member[0]} is no good image ({error}); {_REMEDY}"
            ) from None

    with ThreadPoolExecutor() as pool:  # PIL decodes and resizes without Python's lock
        wanted = (item for item in members(archive) if item[0].split("/")[1] in parts)
        total = sum(COUNTS[part] for part in parts)
        found = pool.map(pixels, wanted)
        images = dict(tqdm(found, "decoding images", total, unit="img", disable=None))
    decoded = {}
    for part in parts:
        names = sorted(name for name in images if name.split("/")[1] == part)
        if not names:
            raise DataError(f"{archive} has no image in {part}/; {_REMEDY}")
        labels = torch.tensor(
            [list(CLASSES).index(name.split("/")[2]) for name in names]
        )
        decoded[part] = Images(
            torch.from_numpy(np.stack([images[name] for name in names])), labels
        )
    return decoded


@cache
def encoded(quality: int, side: int = 160) -> Tensor:
    """The test images (N, 3, 64, 64) of `FILE` as they are where each was saved once
    more before, as a JPEG of `side` pixels and this quality: about what another copy
    of the same photographs has. Raises DataError.
    """

    def convert(content: bytes) -> np.ndarray:
        copied = io.BytesIO()
        with Image.open(io.BytesIO(content)) as image:
            square = image.convert("RGB").resize(
                (side, side), Image.Resampling.BILINEAR
            )
        square.save(copied, "JPEG", quality=quality)
        return resize(copied.getvalue())

    return decode(data.locate(FILE), convert, ["val"])["val"].images


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Name (root/part/class/file) and content of each image. Whatever else stands in
    the archive is refused, or is a plain file elsewhere, which is left alone. Raises
    DataError.
    """
    total = 0
    try:
        with tarfile.open(archive) as content:
            for member in content:
                path = PurePosixPath(member.name)
                if path.is_absolute() or ".." in path.parts:
                    raise DataError(
                        f"{archive}: {member.name} leads out of the archive; {_REMEDY}"
                    )
                if member.isdir():
                    continue
                if not member.isreg():
                    raise DataError(
                        f"{archive}: {member.name} is a link or a device, not a file; "
                        f"{_REMEDY}"
                    )
                if (total := total + member.size) > LARGEST_ARCHIVE:
                    raise DataError(
                        f"{archive} has more than {LARGEST_ARCHIVE:,} bytes in it; "
                        f"{_REMEDY}"
                    )
                match path.parts:
                    case (_, part, folder, _) if (
                        part in COUNTS and folder in CLASSES and path.suffix == ".JPEG"
                    ):
                        if file := content.extractfile(member):
                            yield str(path), file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(
            f"{archive} is truncated or no archive ({error}); {_REMEDY}"
        ) from None


_REMEDY = (
    "remove the archive and run again; what is missing is fetched, where it can be"
)


# --- the cache ---


def digest(*parts: Images) -> str:
    """SHA-256 of images and labels."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part.images.numpy().data)
        found.update(part.labels.numpy().data)
    return found.hexdigest()


def _write(cache: Path, found: Imagenette) -> None:
    tensors = {
        "images": torch.cat([found.train.images, found.test.images]),
        "labels": torch.cat([found.train.labels, found.test.labels]),
    }
    note = {
        "archive": found.archive.sha256,
        "digest": found.digest,
        "train": str(len(found.train)),
    }
    cache.parent.mkdir(parents=True, exist_ok=True)
    try:
        write(cache, save(tensors, note))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise DataError(
            f"{cache} cannot be written ({error}); free some space, or set HW2_DATA "
            "elsewhere"
        ) from None


def _read(cache: Path, file: DataFile) -> Imagenette | None:
    """What `_write` wrote for this archive, or None where the cache is damaged or not
    what the archive gives, so that it is made again.
    """
    try:
        with safe_open(cache, "pt") as content:
            note = content.metadata()
            images, labels = content.get_tensor("images"), content.get_tensor("labels")
        rows = int(note["train"])
        train, test = (
            Images(images[:rows], labels[:rows]),
            Images(images[rows:], labels[rows:]),
        )
        found = digest(train, test)
        good = note["archive"] == file.sha256 and note[
            "digest"
        ] == found == DECODED.get(file.sha256, found)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        good = False
    return Imagenette(train, test, file, note["digest"]) if good else None
