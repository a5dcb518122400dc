"""The Imagenette module on small archives made here: what is decoded, what is refused,
and what is kept.
"""

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hw2 import data
from hw2.data import imagenette

COUNTS = {"train": 20, "val": 10}
FOLDERS = list(imagenette.CLASSES)


def jpeg(seed, mode="RGB", size=(80, 64)):
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize(size).convert(mode).save(buffer, "JPEG")
    return buffer.getvalue()


def images():
    """Names and contents of an archive: 2 training images and 1 test image of each
    class, of all modes and shapes.
    """
    modes, sizes = ("RGB", "L", "CMYK"), ((80, 64), (64, 64), (30, 90))
    return {
        f"set/{part}/{folder}/{number}.JPEG": jpeg(
            (place, number), modes[place % 3], sizes[(place + number) % 3]
        )
        for place, folder in enumerate(FOLDERS)
        for part, count in (("train", 2), ("val", 1))
        for number in range(count)
    }


def member(name, kind=tarfile.REGTYPE, **more):
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in more.items():
        setattr(info, key, value)
    return info


def pack(contents, *others, mode="w"):
    """An archive with some files, in reverse order, and with members that are none."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        archive.addfile(member("set/train", tarfile.DIRTYPE))
        for name, content in reversed(contents.items()):
            archive.addfile(member(name, size=len(content)), io.BytesIO(content))
        for other in others:
            archive.addfile(other)
    return buffer.getvalue()


@pytest.fixture
def places(monkeypatch, places):
    """An empty data folder and an empty mirror, for archives as small as these."""
    monkeypatch.setattr(imagenette, "COUNTS", COUNTS)
    return places


@pytest.fixture
def publish(monkeypatch, places):
    """Put an archive into the mirror, as the squashed one or as the official one."""

    def put(content, name="FILE"):
        old = getattr(imagenette, name)
        digest = hashlib.sha256(content).hexdigest()
        file = data.DataFile(old.name, digest, len(content), old.source, old.fetch)
        monkeypatch.setattr(imagenette, name, file)
        (places / "mirror" / file.name).write_bytes(content)
        return file

    return put


def decode(tmp_path, content):
    (tmp_path / "set.tar").write_bytes(content)
    return imagenette.decode(tmp_path / "set.tar")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_images_are_what_torchvision_makes_of_them(tmp_path, mode):
    from torchvision import datasets, transforms

    for name, content in images().items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    found = decode(tmp_path, pack(images(), mode=mode))
    transform = transforms.Compose([transforms.Resize((64, 64)), transforms.ToTensor()])
    for part, expected in COUNTS.items():
        pixels, labels = zip(
            *datasets.ImageFolder(tmp_path / "set" / part, transform), strict=True
        )
        assert len(found[part]) == expected
        assert torch.equal(found[part].images.float() / 255, torch.stack(pixels))
        assert found[part].labels.tolist() == list(labels)


def test_images_that_are_encoded_once_more_are_about_the_same(publish):
    publish(pack(images()))
    imagenette.encoded.cache_clear()
    test, away = imagenette.load().test.images.float(), []
    for quality in (95, 40):
        found = imagenette.encoded(quality)
        assert found.dtype == torch.uint8
        assert found.shape == test.shape
        away.append((found - test).abs().mean().item())
    assert 0 < away[0] < away[1] < 10
    # the same as by hand, for the one of the last class
    name = f"set/val/{FOLDERS[-1]}/0.JPEG"
    square = Image.open(io.BytesIO(images()[name])).convert("RGB")
    buffer = io.BytesIO()
    square.resize((160, 160), Image.Resampling.BILINEAR).save(
        buffer, "JPEG", quality=95
    )
    small = Image.open(buffer).resize((64, 64), Image.Resampling.BILINEAR)
    last = imagenette.encoded(95)[-1].permute(1, 2, 0)
    assert np.array_equal(last.numpy(), np.asarray(small))
    imagenette.encoded.cache_clear()


def test_the_classes_are_those_of_torchvision_in_the_order_of_the_assignment():
    from torchvision.datasets import Imagenette

    assert {
        folder: names[0] for folder, names in Imagenette._WNID_TO_CLASS.items()
    } == imagenette.CLASSES
    assert sorted(FOLDERS) == FOLDERS
    assert imagenette.NAMES[:3] == ("tench", "English springer", "cassette player")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            member("/set/train/n01440764/9.JPEG"),
            "/set/train/n01440764/9.JPEG leads out of the archive",
        ),
        (member("set/train/../../../9.JPEG"), "leads out of the archive"),
        (
            member(
                "set/train/n01440764/9.JPEG", tarfile.SYMTYPE, linkname="/etc/passwd"
            ),
            "is a link or a device",
        ),
        (
            member("set/train/n01440764/9.JPEG", tarfile.LNKTYPE, linkname="../../9"),
            "is a link or a device",
        ),
        (
            member("set/train/n01440764/9.JPEG", tarfile.CHRTYPE),
            "is a link or a device",
        ),
        (
            member("set/train/n01440764/9.JPEG", tarfile.FIFOTYPE),
            "is a link or a device",
        ),
    ],
)
def test_an_archive_with_anything_but_files_inside_itself_is_refused(
    tmp_path, other, message
):
    with pytest.raises(data.DataError, match=message) as error:
        decode(tmp_path, pack(images(), other))
    assert str(tmp_path / "set.tar") in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["set.tar"]


def test_other_files_are_left_alone(tmp_path):
    others = {
        "set/noisy.csv": b"path",
        "set/train/n01440764/.DS_Store": b"x",
        "set/train/n99999999/1.JPEG": b"x",
        "set/test/n01440764/1.JPEG": b"x",
    }
    assert len(decode(tmp_path, pack(images() | others))["train"]) == COUNTS["train"]


def test_the_size_is_bounded(tmp_path, monkeypatch):
    content = pack(images())
    monkeypatch.setattr(imagenette, "LARGEST_ARCHIVE", sum(map(len, images().values())))
    decode(tmp_path, content)
    monkeypatch.setattr(
        imagenette, "LARGEST_ARCHIVE", sum(map(len, images().values())) - 1
    )
    with pytest.raises(data.DataError, match=r"set\.tar has more than .* bytes in it"):
        decode(tmp_path, content)
    monkeypatch.undo()
    monkeypatch.setattr(imagenette, "LARGEST_IMAGE", 80 * 64 - 1)
    with pytest.raises(data.DataError, match="80 x 64 pixels"):
        decode(tmp_path, content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda jpeg: jpeg[: len(jpeg) // 2],
        lambda jpeg: b"no image",
        lambda jpeg: b"",
        lambda jpeg: jpeg[20:],
    ],
)
def test_a_damaged_image_is_named(tmp_path, damage):
    name = f"set/val/{FOLDERS[3]}/0.JPEG"
    contents = images()
    contents[name] = damage(contents[name])
    with pytest.raises(data.DataError, match=f"{name} is no good image"):
        decode(tmp_path, pack(contents))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("share", [0, 0.3, 0.7])
def test_a_truncated_archive_is_refused(tmp_path, mode, share):
    content = pack(images(), mode=mode)
    with pytest.raises(data.DataError, match=r"set\.tar"):
        decode(tmp_path, content[: int(share * len(content))])


def test_an_archive_without_one_of_the_parts_is_refused(tmp_path):
    contents = {
        name: content for name, content in images().items() if "/val/" not in name
    }
    with pytest.raises(data.DataError, match=r"has no image in val/"):
        decode(tmp_path, pack(contents))


def test_the_squashed_archive_comes_before_the_official_one(places, publish):
    other = {name: jpeg(99) for name in images()}
    official = publish(pack(other, mode="w:gz"), "OFFICIAL")
    found = imagenette.load()
    assert found.archive == official
    assert (found.train.images == found.train.images[0]).all()
    squashed = publish(pack(images()))
    found = imagenette.load()
    assert found.archive == squashed
    assert not (found.train.images == found.train.images[0]).all()


def test_the_official_archive_is_downloaded_by_torchvision(monkeypatch, places):
    content = pack(images(), mode="w:gz")

    def download(root, split="train", size="full", download=False):
        assert (size, download) == ("160px", True)
        (root / "imagenette2-160.tgz").write_bytes(content)
        (root / "imagenette2-160").mkdir()

    monkeypatch.setattr("torchvision.datasets.Imagenette", download)
    digest = hashlib.sha256(content).hexdigest()
    old = imagenette.OFFICIAL
    monkeypatch.setattr(
        imagenette,
        "OFFICIAL",
        data.DataFile(old.name, digest, len(content), old.source, old.fetch),
    )
    assert len(imagenette.load().train) == COUNTS["train"]
    names = {"imagenette2-160.tgz", "imagenette2-160-64px.safetensors"}
    assert {file.name for file in (places / "data").iterdir()} == names


def test_a_download_that_is_not_what_torchvision_expects_is_reported(
    monkeypatch, places
):
    def download(*_, **__):
        raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr("torchvision.datasets.Imagenette", download)
    with pytest.raises(
        data.DataError,
        match=r"Imagenette\(size=.*File not found or corrupted.*HW2_DATA_MIRROR",
    ):
        imagenette.load()
    assert list((places / "data").iterdir()) == []


def test_another_archive_is_refused_and_nothing_is_kept(places, publish):
    file = publish(pack(images()))
    good = (places / "mirror" / file.name).read_bytes()
    for bad in (good[:-1], good[:-1] + b"\1"):
        (places / "mirror" / file.name).write_bytes(bad)
        with pytest.raises(data.DataError, match="another file"):
            imagenette.load()
    publish(pack(dict(list(images().items())[1:])))
    with pytest.raises(data.DataError, match="has 19 images in train/, expected 20"):
        imagenette.load()
    assert list((places / "data").iterdir()) == []


def test_the_cache_is_read_without_the_archive(monkeypatch, places, publish):
    file = publish(pack(images()))
    first = imagenette.load()
    (places / "mirror" / file.name).unlink()
    monkeypatch.setattr(imagenette, "decode", None)
    again = imagenette.load()
    assert again.digest == first.digest == imagenette.digest(first.train, first.test)
    for one, other in ((first.train, again.train), (first.test, again.test)):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)


@pytest.mark.parametrize(
    "damage",
    [lambda c: c[:-1], lambda c: c[:100], lambda c: b"", lambda c: c[:-1] + b"\1"],
)
def test_a_damaged_cache_is_made_again(monkeypatch, places, publish, damage):
    publish(pack(images()))
    first = imagenette.load()
    (cache,) = (places / "data").iterdir()
    cache.write_bytes(damage(cache.read_bytes()))
    assert imagenette.load().digest == first.digest
    monkeypatch.setattr(imagenette, "decode", None)
    assert imagenette.load().digest == first.digest


def test_a_cache_that_fits_itself_but_not_the_archive_is_made_again(
    monkeypatch, places, publish
):
    file = publish(pack(images()))
    honest = imagenette.load()
    monkeypatch.setattr(imagenette, "DECODED", {file.sha256: honest.digest})
    turned = replace(honest.test, images=honest.test.images.flip(3))
    (cache,) = (places / "data").iterdir()
    imagenette._write(
        cache,
        honest._replace(test=turned, digest=imagenette.digest(honest.train, turned)),
    )
    assert torch.equal(imagenette.load().test.images, honest.test.images)
    assert imagenette.load().digest == honest.digest


def test_the_cache_of_another_archive_is_not_taken(publish):
    publish(pack(images()))
    first = imagenette.load()
    publish(pack({name: jpeg(99) for name in images()}))
    assert imagenette.load().digest != first.digest


def test_an_interrupted_decoding_leaves_nothing(monkeypatch, places, publish):
    publish(pack(images()))

    def interrupt(scratch, file):
        assert scratch.stat().st_size
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        imagenette.load()
    assert list((places / "data").iterdir()) == []


def test_the_split_is_a_tenth_of_each_class():
    labels = torch.arange(10).repeat_interleave(
        torch.tensor([963, 955, 993, 858, 941, 956, 961, 931, 951, 960])
    )
    training, validation = imagenette.split(labels)
    assert sorted([*training.tolist(), *validation.tolist()]) == list(
        range(len(labels))
    )
    counts, whole = torch.bincount(labels[validation]), torch.bincount(labels)
    assert (counts - whole / 10).abs().max() < 1
    assert torch.equal(imagenette.split(labels)[1], validation)
    assert not torch.equal(imagenette.split(labels, seed=212)[1], validation)


def test_images_that_are_split_otherwise_are_refused(monkeypatch):
    counts = [963, 955, 993, 858, 941, 956, 961, 931, 951, 960]
    labels = torch.arange(10).repeat_interleave(torch.tensor(counts))
    imagenette.split(labels)
    monkeypatch.setattr(imagenette, "ROWS", 64 * "0")
    with pytest.raises(
        data.DataError, match="split otherwise than those of the recorded"
    ):
        imagenette.split(labels)


def test_what_was_decoded_is_not_the_archive(places, publish):
    file = publish(pack(images()))
    imagenette.load()
    assert imagenette.at_hand()
    (places / "mirror" / file.name).unlink()
    imagenette.load()
    assert not imagenette.at_hand()


def test_images_are_taken_by_row():
    images = imagenette.Images(
        torch.arange(4 * 3 * 64 * 64).view(4, 3, 64, 64).byte(),
        torch.tensor([3, 1, 2, 0]),
    )
    part = images[torch.tensor([2, 0])]
    assert len(part) == 2
    assert part.labels.tolist() == [2, 3]
    assert torch.equal(part.images[1], images.images[0])


def test_the_squashed_archive_is_asked_for_by_its_name(monkeypatch, tmp_path):
    monkeypatch.setenv("HW2_DATA", str(tmp_path))
    monkeypatch.delenv("HW2_DATA_MIRROR", raising=False)
    with pytest.raises(
        data.DataError, match=r"imagenette2-224sq\.tar is nowhere published"
    ):
        data.locate(imagenette.FILE)
