"""The archive that is handed in, and the notebook in it: executed with little to train
and a small image set, and its code compared with the package's.
"""

import copy
import json
import os
import re
import zipfile
from dataclasses import asdict, replace
from functools import cache
from unittest import mock

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
import yaml
from torch import nn

from hw2 import live, show, submission
from hw2.cli import main
from hw2.data import DataError, imagenette
from hw2.data import magic as data
from hw2.live import UnexpectedError
from hw2.paths import ROOT
from hw2.submission import SubmissionError
from hw2.tasks import imagenette as cnn
from hw2.tasks import imagenette_notebook, magic, magic_notebook

PDF = "ece046211_hw2_1_2.pdf"
# what is shortened here, with what it becomes
SHORTER = {
    "512, 10_000": "512, 500",
    "128, 20\n": "512, 1\n",
    "8 if FULL else 4": "8 if FULL else 2",
    "epochs=6,": "epochs=3,",
}


# --- names ---


def valid(first_eight):
    """An identity number with its last digit, by doubling every other digit and adding
    up all digits.
    """
    digits = "".join(
        str(int(digit) * 2) if place % 2 else digit
        for place, digit in enumerate(first_eight)
    )
    return first_eight + str(-sum(map(int, digits)) % 10)


def test_identity_numbers_are_checked():
    for number in ("00000001", "12345678", "98765432", "31415926"):
        good = valid(number)
        assert submission.is_identity(good)
        assert (
            sum(submission.is_identity(number + str(last)) for last in range(10)) == 1
        )
    assert valid("12345678") == "123456782"  # the example of many forms
    for number in ("12345678", "1234567820", "12345678x", "١٢٣٤٥٦٧٨٢", "000000000"):
        assert not submission.is_identity(number)


@pytest.fixture
def students(monkeypatch, tmp_path):
    """Writes `_quarto.yml` with two authors into an empty project."""

    def write(*ids):
        authors = [{"name": "A", "email": "a@b", "id": number} for number in ids]
        (tmp_path / "_quarto.yml").write_text(
            yaml.safe_dump({"author": authors}, sort_keys=False)
        )
        monkeypatch.setattr(show, "ROOT", tmp_path)
        monkeypatch.setattr(submission, "ROOT", tmp_path)
        return tmp_path

    return write


def test_the_name_has_both_numbers(students):
    students("123456782", "000000018")
    assert submission.stem(draft=False) == "ece046211_hw2_123456782_000000018"


def test_a_wrong_number_is_named_with_its_line(students):
    folder = students("123456782", "987654321")
    with pytest.raises(
        SubmissionError,
        match=re.escape(f"{folder / '_quarto.yml'}:7: 987654321 is no identity number"),
    ):
        submission.stem(draft=False)
    assert submission.stem(draft=True) == "ece046211_hw2_123456782_987654321"


def test_one_student_alone_is_a_draft(students):
    students("123456782")
    with pytest.raises(
        SubmissionError, match=r"_quarto\.yml: 1 students, but .* pairs"
    ):
        submission.stem(draft=False)
    assert submission.stem(draft=True) == "ece046211_hw2_123456782"


def test_names_and_images_are_checked_before_anything_is_rendered(
    students, monkeypatch, capsys
):
    monkeypatch.setattr(submission, "images_at_hand", lambda: "no archive")
    students("123456782", "987654321")
    assert main(["submission"]) == 1
    assert "987654321 is no identity number" in capsys.readouterr().err
    assert main(["submission", "--draft", "--full"]) == 1
    assert "trains Task 3 too. no archive" in capsys.readouterr().err
    assert main(["submission", "--draft"]) == 0
    assert "will show recorded results" in capsys.readouterr().out


# --- the archive ---


@pytest.fixture
def small(students, monkeypatch, tmp_path):
    """An empty project with a PDF and a small notebook to hand in."""
    folder = students("123456782", "000000018")
    cells = [nbformat.v4.new_code_cell("1 + 1", id="cell-0", execution_count=1)]
    made = nbformat.v4.new_notebook(cells=cells)
    monkeypatch.setattr(submission, "document", lambda full, pdf: None)
    monkeypatch.setattr(submission, "notebook", lambda found, _, full: made)
    monkeypatch.setattr(submission, "images_at_hand", lambda: "")
    (folder / "hw2.pdf").write_bytes(b"%PDF-1.5")
    return folder


def test_the_archive_holds_exactly_the_notebook_and_the_pdf(small, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    target = submission.submit(small / "hw2.pdf", draft=False)
    assert target == small / "dist" / "ece046211_hw2_123456782_000000018.zip"
    with zipfile.ZipFile(target) as archive:
        assert archive.namelist() == [target.stem + ".ipynb", target.stem + ".pdf"]
        assert archive.read(target.stem + ".pdf") == b"%PDF-1.5"
        nbformat.validate(
            nbformat.reads(archive.read(target.stem + ".ipynb").decode(), 4)
        )
    first = target.read_bytes()
    assert submission.submit(small / "hw2.pdf", draft=False).read_bytes() == first


def test_it_says_before_it_starts_that_the_images_are_missing(
    small, monkeypatch, capsys
):
    def start(full, pdf):
        raise SubmissionError(capsys.readouterr().out)

    monkeypatch.setattr(submission, "images_at_hand", lambda: "No images. Do this.")
    monkeypatch.setattr(submission, "document", start)
    with pytest.raises(SubmissionError, match=r"show recorded results.*No images"):
        submission.submit(small / "hw2.pdf", draft=False)
    with pytest.raises(SubmissionError, match=r"FULL=1 trains Task 3 too\. No images"):
        submission.submit(small / "hw2.pdf", draft=False, full=True)


@pytest.mark.parametrize("date", ["abc", "0", "-1", "99999999999999999"])
def test_a_date_that_is_none_is_told_before_anything_runs(small, monkeypatch, date):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", date)
    with pytest.raises(SubmissionError, match=f"SOURCE_DATE_EPOCH={date} is no time"):
        submission.check(draft=False, full=False)


def test_what_is_no_pdf_is_not_handed_in(small):
    (small / "hw2.pdf").write_text("# A text")
    with pytest.raises(SubmissionError, match=r"hw2\.pdf is no PDF"):
        submission.submit(small / "hw2.pdf", draft=False)
    assert not list((small / "dist").glob("*"))


def test_the_command_says_what_is_missing(small, capsys):
    assert main(["submission", str(small / "none.pdf")]) == 1
    assert (
        "none.pdf: no such file; render it with `make pdf`" in capsys.readouterr().err
    )
    assert main(["submission", str(small / "hw2.pdf")]) == 0
    assert str(small / "dist") in capsys.readouterr().out


# --- the notebook ---


def wide():
    """Recorded results that agree with almost anything."""

    def recipe(mean, spread):
        values = [mean - spread, mean, mean + spread]
        return {"values": values, "like": [values]}

    found = {
        name: {what: recipe(0.7, 0.2) for what in places}
        for name, places in (("quick", submission.QUICK), ("full", submission.FULL))
    }
    curve = {
        f"{part}_{quantity}": [[0.5, 0.6, 0.7]] * 3
        for part in ("train", "validation")
        for quantity in ("loss", "accuracy")
    }
    pictures = torch.arange(5 * 3 * 64 * 64).view(5, 3, 64, 64).byte()
    shown = {"examples.images": pictures, "examples.labels": torch.arange(5)}
    return found | {
        "curves": dict.fromkeys(submission.CURVES, curve),
        "examples": submission.examples(shown),
    }


def synthetic(each):
    """So many images of each class, of its colour and noisy."""
    generator = torch.Generator().manual_seed(each)
    labels = torch.arange(10).repeat_interleave(each)
    colours = torch.randint(
        0, 256, (10, 3, 1, 1), generator=torch.Generator().manual_seed(0)
    )
    noise = torch.randint(-40, 40, (10 * each, 3, 64, 64), generator=generator)
    return imagenette.Images((colours[labels] + noise).clamp(0, 255).byte(), labels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data folder with the MAGIC data and small images in place of Imagenette."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "magic04.data").symlink_to(ROOT / "data" / "magic04.data")
    train, test = synthetic(14), synthetic(3)
    found = imagenette.Imagenette(
        train, test, imagenette.OFFICIAL, imagenette.digest(train, test)
    )
    imagenette._write(folder / "imagenette2-160-64px.safetensors", found)
    return folder


@pytest.fixture(scope="module")
def document():
    """The cells of the notebook with such recorded results."""

    @cache
    def build(full):
        with mock.patch.object(submission, "recorded", wide):
            return submission.document(full, PDF)

    return lambda full=False: copy.deepcopy(build(full))


@pytest.fixture(scope="module")
def notebook(document, folder, tmp_path_factory):
    """The notebook, shortened, executed in an empty folder, with a last cell that tells
    where the package is from.
    """
    found = document()
    for cell in found.notebook.cells:
        for long, short in SHORTER.items():
            cell.source = cell.source.replace(long, short)
    question = "import hw2; print(Path(hw2.__file__).is_relative_to(Path.cwd()), 'qmdpdf' in sys.modules)"
    options = {"options": {}, "where": "the test", "first": 0, "skipped": 0}
    last = nbformat.v4.new_code_cell(question, metadata=options)
    found.notebook.cells.append(last)
    # no mirror, whose archive would come before the small images
    with mock.patch.dict(os.environ, {"HW2_DATA": str(folder), "HW2_DATA_MIRROR": ""}):
        return submission.notebook(found, tmp_path_factory.mktemp("alone"))


def code(notebook, visible=True):
    return [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code"
        and not (visible and "source_hidden" in cell.metadata.get("jupyter", {}))
    ]


def printed(cell):
    return "".join(
        output.text for output in cell.outputs if output.output_type == "stream"
    )


def test_what_is_shortened_is_there(document):
    text = "\n".join(cell.source for cell in document().notebook.cells)
    assert {long: text.count(long) for long in SHORTER} == dict.fromkeys(SHORTER, 1)


def test_the_notebook_runs_alone(notebook):
    nbformat.validate(notebook)
    cells = code(notebook, visible=False)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert printed(cells[-1]).split() == ["True", "False"]
    assert not any(
        output.output_type == "error" or output.get("name") == "stderr"
        for cell in cells
        for output in cell.outputs
    )


PICTURE = "<picture>"
# what the assignment asks for -> a visible cell's code, and what its output has to have
REQUIRED = {
    "Task 1.1: the layer of the first NaN": (
        "torch.isnan",
        r"first NaN in layer \d+",
    ),
    "Task 1.2: mean, std and root of the inputs": (
        "products",
        r"mean -?\d.*std 22\.\d+, sqrt\(N\) 22\.6274",
    ),
    "Task 1.3: normalized": ("network\\(normalized_init\\)", r"mean .*, std"),
    "Task 1.4: tanh": ("network\\(unit_init, torch.tanh\\)", r"mean .*, std"),
    "Task 1.5: Xavier": (
        "def xavier_init\\(fan_in, fan_out\\)",
        r"mean .*, std",
    ),
    "Task 1.6: Kaiming, and Xavier with ReLU": (
        "def kaiming_init\\(fan_in, fan_out\\)",
        r"Kaiming.*mean .*std[^X]*Xavier.*mean .*std",
    ),
    "Task 2.1: the first five features": ("read_csv", "fLength.*fConc1"),
    "Task 2.2: the split": ("train_test_split", "13,318 training"),
    "Task 2.3: integers as labels": ("astype\\(int\\)", "25 with"),
    "Task 2.4: mislabeled points": (
        "LogisticRegression\\(",
        r"Number of mislabeled points \d+ out of 15223 total",
    ),
    "Task 2.4: test accuracy": ("LogisticRegression\\(", r"accuracy = 0\.78"),
    "Task 2.5: tensors": ("TensorDataset\\(", r"features \(13318, 25\)"),
    "Task 2.6: the architecture": ("class MLP", "in_features=425"),
    "Task 2.6: the plain network's curves": ("plot\\(.plain", PICTURE),
    "Task 2.6: the chosen network's curves": ("plot\\(.chosen", PICTURE),
    "Task 2.6: test accuracy": (
        "evaluate\\(members, chosen_test",
        r"test loss 0\.\d+, test accuracy 0\.[78]",
    ),
    "Task 2.7: three results and the changes": (
        "INITS",
        r"original.*change \+0\.0000\nxavier.*change.*\nsmall_normal.*change",
    ),
    "Task 3.1: the split": ("imagenette.split", "126 to train on and 14 for"),
    "Task 3.1: five images": ("imshow", PICTURE),
    "Task 3.2: parameters and size": (
        "class CNN",
        r"number of parameters: 1,936,706; model size: 7\.75 MB",
    ),
    "Task 3.2: dimensions": ("class CNN", "3 x 64 x 64, output dimension 10"),
    "Task 3.3: hyper-parameters": ("RECIPE = ", "batches of 96, 3 epochs.*Muon"),
    "Task 3.3: curves": ("without = train_and_plot", PICTURE),
    "Task 3.3: test accuracy": (
        "accuracy_without =",
        r"test accuracy: \d+\.\d+% in this run",
    ),
    "Task 3.4: three levels of noise": (
        "noise=a",
        r"a = 0\.05: .*a = 0\.01: .*a = 0\.005: test accuracy: \d+",
    ),
    "Task 3.5: curves": ("with_it = train_and_plot", PICTURE),
    "Task 3.5: test accuracy and its change": (
        "accuracy_with =",
        r"without \d\.\d+, with \d\.\d+: change [+-]\d",
    ),
}


@pytest.mark.parametrize("requirement", REQUIRED)
def test_a_visible_cell_prints_what_is_asked_for(notebook, requirement):
    source, output = REQUIRED[requirement]
    cells = [cell for cell in code(notebook) if re.search(source, cell.source)]
    assert cells
    shown = [
        printed(cell)
        + "".join(
            PICTURE if "image/png" in found else found.get("text/html", "")
            for found in (output.get("data", {}) for output in cell.outputs)
        )
        for cell in cells
    ]
    assert any(re.search(output, text, re.DOTALL) for text in shown)


def test_a_progress_bar_leaves_one_line_and_no_output_is_longer_than_a_screen(notebook):
    bars = 0
    for cell in code(notebook):
        lines = printed(cell).splitlines()
        assert len(lines) <= 40
        assert [line for line in lines if len(line) > 100] == []
        bars += sum("epoch/s]" in line or "s/epoch]" in line for line in lines)
    # plain, and two members four times; two networks of Task 3
    assert bars == 1 + 2 * 4 + 2


def test_the_order_is_that_of_the_assignment(notebook):
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    parts = [title for title in headings if re.match(r"(Part|Task) \d", title)]
    assert [title.split(" - ")[0] for title in parts] == [
        "Part 1",
        "Part 2",
        "Task 1",
        "Task 2",
        "Task 3",
    ]
    numbers = [int(title[0]) for title in headings if re.match(r"\d\.", title)]
    assert numbers == [*range(1, 7), *range(1, 8), *range(1, 6)]


def test_its_text_is_markdown_that_colab_shows(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            assert not re.search(
                r"\{python\}|\{#|^:::|\[\[|@(sec|eq|fig)-", cell.source
            )
            assert not re.search(r"^\s*([*+-]|\d+\.) .*\$", cell.source, re.MULTILINE)


# what MathJax shows without any package or macro
MATHJAX = {"approx", "ell", "frac", "infty", "log", "pm", "sqrt", "top"}


def test_its_formulas_are_latex_that_mathjax_shows(notebook):
    text = "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    assert text.count("$") % 2 == 0
    formulas = re.split(r"\$", text)[1::2]
    assert formulas
    for formula in formulas:
        assert formula == formula.strip()
        assert "\n" not in formula
        assert set(re.findall(r"\\([A-Za-z]+|.)", formula)) <= MATHJAX
        assert formula.count("{") == formula.count("}")
        assert not re.search(r"[*<>`]", formula)  # Markdown's before it is MathJax's


def test_the_pdf_and_its_sections_are_named(notebook):
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    assert text.count(f"`{PDF}`") == 2
    for label, title in submission.sections().items():
        if re.match(r"sec-(q|t)\d", label):
            assert title in text


def test_an_unknown_place_is_an_error():
    with pytest.raises(SubmissionError, match=r"\[\[nowhere\]\] is unknown"):
        submission.fill("See [[nowhere]].", False, PDF)


def test_only_modules_that_visible_cells_need_are_folded(notebook):
    folded = [
        cell.source.partition("\n")[0].removeprefix("%%writefile ")
        for cell in code(notebook, visible=False)
        if "source_hidden" in cell.metadata.get("jupyter", {})
    ]
    assert folded == [
        "code/hw2/__init__.py",
        "code/hw2/data/__init__.py",
        "code/hw2/data/imagenette.py",
        "code/hw2/data/magic.py",
        "code/hw2/live.py",
        "code/hw2/paths.py",
        "code/hw2/training.py",
        "recorded.json",
    ]


# --- its code, run here ---


def run(document, condition, folder, full=False, results=None):
    """Run the cells for which a condition holds, in this process, in an empty folder.
    Returns their names.
    """
    file = folder / "recorded.json"
    file.write_text(json.dumps(results or wide()))
    live.recorded.cache_clear()
    names = {"Path": type(folder), "FULL": full, "display": lambda _: None}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(plt, "show", plt.close)
        patch.setattr(live, "RECORDED", file)
        for cell in document().notebook.cells:
            if cell.cell_type == "code" and not cell.source.startswith(
                ("%%", "FULL", "torch.manual_seed(seed)")
            ):
                text = submission._without_magics(cell.source)
                if "import kornia" in text or condition(text):
                    exec(text, names)
    live.recorded.cache_clear()
    return names


def defines(text):
    """Whether a cell of Tasks 2 and 3 trains nothing."""
    return not re.search(
        r"live\.compare\(|network\(\w+_init", text
    ) and "train_and_plot(" not in text.replace("def train_and_plot(", "")


@pytest.fixture(scope="module")
def defined(document, folder, tmp_path_factory):
    """What the cells define that train nothing, of the short and of the full notebook."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HW2_DATA", str(folder))
        patch.setenv("HW2_DATA_MIRROR", "")
        return {
            full: run(document, defines, tmp_path_factory.mktemp("defined"), full)
            for full in (False, True)
        }


@pytest.fixture
def names(defined):
    return defined[False]


def test_a_planted_wrong_number_is_noticed(document, tmp_path):
    until = "Number of mislabeled"
    part = [False]

    def condition(text):
        found = not part[0] and "network(" not in text
        part[0] = part[0] or until in text
        return found

    results = wide()
    right = results["quick"]["logistic regression, test accuracy"] = {
        "values": [0.7872],
        "like": [[0.7872]],
    }
    run(document, condition, tmp_path, results=results)
    part[0], right["values"] = False, [0.7972]
    with pytest.raises(UnexpectedError, match=r"logistic regression.*78\.72% is out"):
        run(document, condition, tmp_path, results=results)


def test_without_the_images_recorded_results_are_shown_and_marked(
    document, monkeypatch, tmp_path, capsys
):
    def missing():
        raise DataError("no Imagenette here; put it there")

    monkeypatch.setattr(imagenette, "load", missing)
    titles = []
    monkeypatch.setattr(
        plt.Figure, "suptitle", lambda figure, text: titles.append(text)
    )
    names = run(
        document,
        lambda text: (
            defines(text) or "train_and_plot(" in text or "test_images" in text
        ),
        tmp_path,
    )
    text = capsys.readouterr().out
    assert not names["HERE"]
    assert "IMAGENETTE IS NOT AT HAND" in text
    assert "no Imagenette here" in text
    assert titles == [f"RECORDED: {name}" for name in submission.CURVES]
    # without and with augmentation, three levels of noise, trained for longer
    assert text.count("RECORDED, not run here: 70.00 +- 20.00% (3 seeds)") == 6
    assert "in this run" not in text


def test_the_rows_are_those_of_the_package(names):
    frame = data.load()
    split = data.split(frame)
    assert np.array_equal(names["train"], split.train)
    assert np.array_equal(names["validation"], split.validation)
    assert np.array_equal(names["test"], split.test)


@pytest.mark.parametrize(
    ("recipe", "place"), [("plain", "plain"), ("chosen", "chosen")]
)
def test_the_preprocessing_is_that_of_the_package(names, recipe, place):
    frame = data.load()
    rows = (names["train"], names["validation"])
    expected = magic.prepare(magic_notebook.CONFIGS[recipe], frame, *rows)
    for part, other in zip(("train", "validation"), expected, strict=True):
        found = names[f"{place}_{part}"].tensors
        torch.testing.assert_close(found, other.tensors, atol=1e-6, rtol=1e-5)


def test_the_perceptron_is_that_of_the_package(names):
    for recipe, features, shape in (("plain", 10, "PLAIN"), ("chosen", 25, "CHOSEN")):
        config = replace(magic_notebook.CONFIGS[recipe], members=1)
        theirs, mine = (
            magic.Ensemble(config, features, [0]),
            names["MLP"](features, **names[shape]),
        )
        state = {
            name: value[0].T if value[0].ndim == 2 and "weight" in name else value[0]
            for name, value in theirs.state_dict().items()
        }
        mine.load_state_dict(
            {
                name: value.reshape(mine.state_dict()[name].shape)
                for name, value in state.items()
            }
        )
        x = torch.randn(7, features)
        torch.testing.assert_close(mine.eval()(x), theirs.eval()(x[None])[0])


def test_the_hyper_parameters_are_those_of_the_package(defined):
    for full, names in defined.items():
        config = magic.Config() if full else magic_notebook.CONFIGS["chosen"]
        told = names["CHOSEN"] | {
            "members": names["MEMBERS"],
            "bandwidth": names["BANDWIDTH"],
            "learning_rate": names["LEARNING_RATE"],
            "weight_decay": names["WEIGHT_DECAY"],
            "batch_size": names["BATCH_SIZE"],
            "epochs": names["EPOCHS"],
        }
        assert asdict(config) == asdict(config) | told
        short = imagenette_notebook.CONFIGS
        for name, config, transforms in (
            ("RECIPE", cnn.CONSTANT if full else short["plain"], 0),
            ("BASE", cnn.PLAIN if full else short["plain"], 0),
            (
                "AUGMENTED",
                cnn.AUGMENTED if full else short["augmented"],
                3 if full else 2,
            ),
        ):
            told = names[name] | names["NETWORK"]
            assert len(told.pop("augmentation") or []) == transforms
            assert transforms == len(config.augmentation)
            assert asdict(config) == asdict(config) | told
        assert names["CNN_SEEDS"] == (cnn.SEEDS if full else [0])


def in_order(module):
    """The parameters of the package's network in the order of the computation."""
    if isinstance(module, cnn.Residual):
        children = (module.first, module.first_norm, module.second, module.second_norm)
    else:
        children = tuple(module.children())
    yield from module.parameters(recurse=False)
    for child in children:
        yield from in_order(child)


def test_the_convolutional_network_and_its_steps_are_those_of_the_package(names):
    images = synthetic(1)
    config = replace(imagenette_notebook.CONFIGS["plain"], dropout=0.0, batch_size=10)
    state = cnn.build(config, 0, images)
    mine = names["CNN"](images.images, **names["NETWORK"])
    theirs = state.model["network"]
    with torch.no_grad():
        for ours, other in zip(mine.parameters(), in_order(theirs), strict=True):
            ours.copy_(other)
    groups = [
        {"params": [p for p in mine.parameters() if p.ndim > 1]},
        {"params": [p for p in mine.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = names["Muon"](groups, lr=0.1, weight_decay=config.weight_decay)
    x = cnn.unit(images.images)
    for _ in range(2):
        for network, steps in ((mine, optimizer), (theirs, state.optimizer)):
            logits = network(x)
            steps.zero_grad()
            nn.functional.cross_entropy(logits, images.labels).backward()
            for group in steps.param_groups:
                group["lr"] = 0.1
            steps.step()
    torch.testing.assert_close(mine.eval()(x), theirs.eval()(x), atol=1e-3, rtol=1e-3)


def test_a_full_notebook_keeps_checkpoints_under_the_name_of_its_code(
    document, tmp_path, monkeypatch
):
    places = []
    monkeypatch.setattr(
        submission, "execute", lambda found, figures: places.append(dict(os.environ))
    )
    for full in (False, True):
        submission.notebook(document(full), tmp_path, full)
    changed = document(True)
    changed.notebook.cells[-2].source += "\n\n1 + 1"
    submission.notebook(changed, tmp_path, True)
    folders = [place.get("HW2_CHECKPOINTS", "") for place in places]
    assert folders[0] == ""
    assert folders[1].startswith(str(submission.CHECKPOINTS))
    assert folders[2] != folders[1] or changed.notebook.cells[-2].cell_type != "code"


def test_what_is_recorded_is_what_the_notebook_compares(
    document, monkeypatch, tmp_path
):
    monkeypatch.setenv("HW2_KEEP", str(tmp_path))  # one canary of a run is enough here
    found = submission.recorded()
    lines = [
        line
        for cell in document().notebook.cells
        if cell.cell_type == "code" and not cell.source.startswith("%%")
        for line in cell.source.splitlines()
    ]

    def told(chosen):
        names = re.findall(r'"([^"]*accuracy)"', "\n".join(chosen))
        return {name for name in names if "{" not in name and ", " in name}

    long = [line for line in lines if "full=True" in line]
    for name in ("quick", "full"):
        for what, recipe in found[name].items():
            assert all(0.5 < value < 1 for value in recipe["values"]), what
            assert recipe["values"] in recipe["like"]
            low, high = live.band(recipe)
            assert 0.5 < low < high < low + (0.3 if "0.05" in what else 0.05) < 1
    assert told(long) <= set(found["full"])
    assert told(line for line in lines if line not in long) <= set(found["quick"])
