"""The bench on a small archive made here, with small networks."""

import io
import json
import shutil
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from hw2 import bench, runs
from hw2.cli import main
from hw2.data import DataFile
from hw2.data import imagenette as dataset
from hw2.runs import RunError
from hw2.tasks import imagenette

TINY = imagenette.Config(
    widths=(8, 16), blocks=(0, 1), groups=4, optimizer="sgd", batch_size=10, epochs=3
)
SMALL = bench.Settings(
    ours=TINY, fast=TINY, target=2.0, trainings=2, batch_size=8, workers=0
)
QUICK = replace(SMALL, patience=0.0)  # two epochs of the usual pipeline

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Three training images and one test image of each class, as an archive and as the
    data set of both modules.
    """
    file = tmp_path_factory.mktemp("archive") / "small.tar"
    with tarfile.open(file, "w") as content:
        for place, folder in enumerate(dataset.CLASSES):
            for part, count in (("train", 3), ("val", 1)):
                for number in range(count):
                    pixels = np.full((70, 80, 3), 20 * place + number, dtype=np.uint8)
                    buffer = io.BytesIO()
                    Image.fromarray(pixels).save(buffer, "JPEG")
                    info = tarfile.TarInfo(f"set/{part}/{folder}/{number}.JPEG")
                    info.size = buffer.tell()
                    content.addfile(info, io.BytesIO(buffer.getvalue()))
    parts = dataset.decode(file)
    source = DataFile(
        "small.tar", "0" * 64, file.stat().st_size, "here", lambda path: None
    )
    found = dataset.Imagenette(parts["train"], parts["val"], source, "")
    rate = bench.matmul_rate  # of the size that is measured it takes seconds
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imagenette, "load", lambda device: found)
        patch.setattr(bench.data, "locate", lambda _: file)
        patch.setattr(bench, "matmul_rate", lambda *where: rate(*where[:2], 256))
        yield file


@pytest.fixture
def archive(small, tmp_path, monkeypatch):
    """That archive, and an empty folder for records."""
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    return small


@pytest.fixture(scope="module")
def measured(small, tmp_path_factory):
    """A folder with the record of what was measured once."""
    folder = tmp_path_factory.mktemp("measured")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "RUNS", folder)
        bench.measure(QUICK)
    return folder


@pytest.fixture
def record(archive, measured):
    """A copy of that record, which a test may change."""
    shutil.copytree(measured, runs.RUNS)
    [file] = (runs.RUNS / "bench").iterdir()
    return file


def test_everything_is_measured_and_recorded(archive, monkeypatch):
    monkeypatch.setattr(bench, "SETTINGS", SMALL)
    run = bench.measure(SMALL)
    assert bench.recorded() == [run]
    assert not any(
        "per_second" in name for name in runs.load("bench", run.name).summary
    )
    summary = run.summary
    for name in ("ours", "resnet18", "usual"):
        assert summary[f"{name}_images_per_second"] == pytest.approx(
            30 / summary[f"{name}_epoch_seconds"]
        )
    assert summary["usual_epochs"] >= 2
    assert summary["usual_accuracy"] < SMALL.target
    assert (
        summary["usual_seconds"] >= SMALL.patience * summary["ours_seconds"]["mean"]
        or summary["usual_epochs"] == 2
    )
    assert 0 < summary["share_of_limit"] < 1
    lines = bench.table([run]).splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:]] == [
        "ours",
        "ResNet-18, our loader",
        "usual pipeline",
    ]
    assert "at best after" in bench.to_target(run)
    assert "of which 0 reach" in bench.to_target(run)


def test_a_result_of_another_training_is_stale(record, monkeypatch):
    monkeypatch.setattr(
        bench, "SETTINGS", replace(QUICK, fast=replace(TINY, learning_rate=0.2))
    )
    with pytest.raises(RunError, match="is stale: the training it timed has changed"):
        bench.recorded()


def test_the_usual_pipeline_stops_where_it_has_the_accuracy(archive, tmp_path):
    settings = replace(SMALL, target=0.0)
    bench.extract(archive, tmp_path / "files")
    loader = bench.usual_loader(tmp_path / "files", settings)
    numbers, _ = bench.usual_to_target(
        loader, imagenette.load(None).test, settings, limit=1e9
    )
    assert numbers["usual_epochs"] == 2  # the second one is timed in any case


def test_both_loaders_give_the_same_images(archive, tmp_path):
    bench.extract(archive, tmp_path / "files")
    loaders = [
        bench.usual_loader(tmp_path / "files", SMALL),
        bench.our_loader(imagenette.load(None).train, SMALL),
    ]
    sums = []
    for loader in loaders:
        batches = list(loader)
        assert batches[0][0].shape == (8, 3, 64, 64)
        sums.append(
            {
                (label.item(), round(image.sum().item()))
                for x, y in batches
                for image, label in zip(x, y, strict=True)
            }
        )
    assert len(sums[0]) == 30
    assert len(sums[1]) == 24  # whole batches only
    assert sums[1] < sums[0]


def test_the_usual_pipelines_second_epoch_and_nothing_but_training_is_counted(
    archive, tmp_path, monkeypatch
):
    told, counted = iter([9.0, 4.0, 30.0]), []

    def seconds(call, device):
        with monkeypatch.context() as m:  # nothing is judged while the clock runs
            m.setattr(bench, "peer_accuracy", None)
            call()
        counted.append(next(told))
        return counted[-1]

    monkeypatch.setattr(bench, "seconds", seconds)
    bench.extract(archive, tmp_path / "files")
    loader = bench.usual_loader(tmp_path / "files", SMALL)
    numbers, epoch = bench.usual_to_target(
        loader, imagenette.load(None).test, SMALL, limit=20
    )
    assert (epoch, numbers["usual_seconds"], numbers["usual_epochs"]) == (4.0, 43.0, 3)


def test_ours_is_judged_by_its_answers_to_the_images_themselves(archive):
    data = imagenette.load(None)
    found = bench.ours_to_target(archive, data.test, SMALL)
    for seed, accuracy in enumerate(found["ours_accuracy"]):
        network, _ = imagenette.train(TINY, seed, data.train)
        answers = imagenette.predict(network, data.test.images).argmax(1)
        assert accuracy == (answers == data.test.labels).double().mean().item()
    for whole, part in zip(
        found["ours_seconds"], found["ours_decoding_seconds"], strict=True
    ):
        assert whole > part > 0
    assert len(found["ours_seconds"]) == SMALL.trainings


def test_to_decode_and_to_train_is_counted_and_nothing_else(archive, monkeypatch):
    clock, decoded = [0.0], []

    def takes(time, call):
        def slow(*args, **kwargs):
            clock[0] += time
            decoded.append(kwargs.get("parts"))
            return call(*args, **kwargs)

        return slow

    monkeypatch.setattr(bench.time, "perf_counter", lambda: clock[0])
    for module, name, cost in (
        (dataset, "decode", 1.0),
        (imagenette, "trainer", 20.0),
        (bench.training, "fit", 300.0),
        (imagenette, "accuracy_of", 4000.0),
    ):
        monkeypatch.setattr(module, name, takes(cost, getattr(module, name)))
    found = bench.ours_to_target(archive, imagenette.load(None).test, SMALL)
    assert [parts for parts in decoded if parts] == [["train"]] * SMALL.trainings
    assert found["ours_decoding_seconds"] == [1.0] * SMALL.trainings
    assert found["ours_seconds"] == [301.0] * SMALL.trainings


def test_the_peer_is_judged_on_images_as_it_was_trained_on(archive):
    class Recorder(nn.Module):
        def forward(self, x):
            shown.append(x)
            return torch.zeros(len(x), 10)

    data, shown = imagenette.load(None), []
    bench.peer_accuracy(Recorder(), data.train)
    trained = torch.cat([x for x, _ in bench.our_loader(data.train, SMALL)])
    judged = {image.sum().round().item() for image in torch.cat(shown)}
    assert {image.sum().round().item() for image in trained} <= judged


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda r: r["provenance"].update(device="cpu: faster"), "says that it is of"),
        (
            lambda r: r["summary"].update(usual_epoch_seconds=1e-3),
            "was edited: its digest",
        ),
        (
            lambda r: r["summary"].update(ours_epoch_seconds=1e-9),
            "ours would run at [0-9]+% of the machine's limit",
        ),
    ],
)
def test_an_edited_record_is_refused(record, monkeypatch, edit, message):
    monkeypatch.setattr(bench, "SETTINGS", QUICK)
    assert len(bench.recorded()) == 1
    content = json.loads(record.read_text())
    edit(content)
    if "digest" not in message:
        content["provenance"]["record_sha256"] = runs.digest(content)
    record.write_text(json.dumps(content))
    with pytest.raises(RunError, match=message):
        bench.recorded()


def test_the_audit_says_that_nothing_else_gives_the_seconds(
    record, monkeypatch, capsys
):
    monkeypatch.setattr(bench, "SETTINGS", QUICK)
    assert main(["audit", "bench"]) == 0
    printed = capsys.readouterr().out
    assert "measured, given by `make bench` only: ours_epoch_seconds" in printed
    assert "1 of 1 runs audited" in printed
    record.write_text(record.read_text().replace("7", "8"))
    assert main(["audit", "bench"]) == 1
    assert "0 of 1 runs audited" in capsys.readouterr().out


def test_the_peer_has_no_batch_norm():
    kinds = {type(module) for module in bench.peer().modules()}
    assert nn.BatchNorm2d not in kinds
    assert nn.GroupNorm in kinds


def test_operations_are_those_of_the_layers():
    config = imagenette.Config(widths=(8,), blocks=(0,), groups=4)
    convolution, classifier = 9 * 3 * 8 * 64 * 64, 8 * 10
    # a product and a sum each; backward by the weights and, but for the image, by the
    # input as well
    assert bench.operations(config) == 2 * (2 * convolution + 3 * classifier)


def test_the_rate_of_a_matrix_product_is_plausible():
    assert 1e8 < bench.matmul_rate(torch.device("cpu"), torch.float32, 256) < 1e13


def test_the_command_prints_the_table(archive, monkeypatch, capsys):
    measure = bench.measure
    monkeypatch.setattr(bench, "measure", lambda: measure(QUICK))
    assert main(["bench"]) == 0
    printed = capsys.readouterr().out
    assert "| usual pipeline |" in printed
    assert "recorded in" in printed


def test_a_new_hyper_parameter_is_adopted_where_it_leaves_the_training(
    record, monkeypatch, capsys
):
    monkeypatch.setattr(bench, "SETTINGS", QUICK)
    run = runs.load("bench", record.stem)
    del run.config["fast"]["symmetric"]
    runs.save(run, {}, {})
    with pytest.raises(RunError, match="is stale"):
        bench.recorded()
    assert main(["run", "--adopt", "bench"]) == 0
    assert "1 hyper-parameters and 0 losses" in capsys.readouterr().out
    assert bench.recorded()[0].config["fast"]["symmetric"] is False


def test_a_changed_bench_is_not_adopted(record, monkeypatch, capsys):
    monkeypatch.setattr(bench, "SETTINGS", replace(QUICK, batch_size=9))
    assert main(["run", "--adopt", "bench"]) == 1
    error = capsys.readouterr().err
    assert "batch_size was 8, now it is 9; run `make bench` on that machine" in error
