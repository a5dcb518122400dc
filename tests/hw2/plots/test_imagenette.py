"""What the figures and tables of Task 3 show is what is in the runs."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.text import Text
from sklearn.metrics import confusion_matrix

from hw2 import runs
from hw2.data.imagenette import NAMES
from hw2.plots import imagenette as plots
from hw2.plots import use_style
from hw2.plots.curves import training
from hw2.runs import Run
from hw2.tasks import imagenette
from hw2.tasks.imagenette import AUGMENTATIONS, NOISE

SEEDS, EPOCHS, IMAGES = 3, 6, 400


@pytest.fixture(autouse=True)
def style_of_the_report():
    with plt.rc_context():
        use_style()
        yield
        plt.close("all")


def test_noise_is_shown_at_its_level_and_cut_off():
    images = torch.full((2, 3, 64, 64), 128, dtype=torch.uint8)
    figure = plots.noisy(images, (0, 0.05, 0.5))
    first, small, large = (
        axes.images[0].get_array().astype(float) / 255 for axes in figure.axes[:3]
    )
    assert (first == 128 / 255).all()
    assert small.std() == pytest.approx(0.05, rel=0.05)
    assert large.min() == 0
    assert large.max() == 1
    assert [axes.get_title() for axes in figure.axes[:2]] == ["$a = 0$", "$a = 0.05$"]


def answers(rng):
    """Classes of the test images and the answers of each seed (seeds, images), most of
    them right.
    """
    labels = np.arange(IMAGES) % len(NAMES)
    guesses = rng.integers(0, len(NAMES), (SEEDS, IMAGES))
    return labels, np.where(rng.random((SEEDS, IMAGES)) < 0.8, labels, guesses)


def toy(seed=0, epochs=EPOCHS, config=None):
    rng = np.random.default_rng(seed)
    names = [
        f"{part}_{quantity}"
        for part in ("train", "validation")
        for quantity in ("loss", "accuracy")
    ]
    curves = {name: rng.random((SEEDS, epochs)).tolist() for name in names}
    labels, given = answers(rng)
    curves["confusion"] = [
        confusion_matrix(labels, row).flatten().tolist() for row in given
    ]
    curves["noise_level"] = [[0.0, 0.1, 0.5]] * SEEDS
    curves["noise_accuracy"] = rng.random((SEEDS, 3)).tolist()
    numbers = [
        "test_accuracy",
        *(f"noise_{level:g}{end}" for level in NOISE for end in ("", "_std")),
    ]
    summary = {name: runs.over_seeds(rng.random(SEEDS).tolist()) for name in numbers}
    return Run(
        "imagenette", "toy", config or {}, list(range(SEEDS)), curves, summary, {}, []
    )


def pictures(count, seed=0):
    return torch.randint(
        0, 256, (count, 3, 64, 64), generator=torch.Generator().manual_seed(seed)
    ).byte()


def weights():
    """Five examples, what each transform makes of them, 24 mistakes; English springers,
    whose name is long, abound.
    """
    found = {
        "examples.images": pictures(5),
        "examples.labels": torch.tensor([1, 0, 2, 6, 1]),
    }
    for seed, name in enumerate(AUGMENTATIONS, 1):
        targets = torch.zeros(5, 10)
        targets[:, 1], targets[:, 2] = 0.625, 0.375
        targets[4] = torch.eye(10)[7]
        found |= {f"{name}.images": pictures(5, seed), f"{name}.targets": targets}
    labels, wrong = torch.arange(24) % 3, torch.tensor([1, 2, 6] * 8)
    found |= {
        "mistakes.images": pictures(24, 50),
        "mistakes.labels": labels,
        "mistakes.answers": wrong,
    }
    return found | {"mistakes.confidence": torch.linspace(0.999, 0.8, 24)}


def shown(panel):
    return np.asarray(panel.images[0].get_array())


def pixels(images):
    return images.permute(0, 2, 3, 1).numpy()


FIGURES = {
    "examples": (lambda: plots.examples(weights()), 8),
    "transforms": (lambda: plots.transforms(weights(), list(AUGMENTATIONS)), 8),
    "training": (lambda: training(toy()), 8),
    "comparison": (lambda: plots.comparison({"a": toy(), "b": toy(1)}), 8),
    "confusion": (lambda: plots.confusion(toy()), 8),
    "mistakes": (lambda: plots.mistakes(weights()), 6),
    "noise": (lambda: plots.noise({"one": toy(), "other": toy(1)}), 8),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_fits_the_page_and_its_text_is_legible_and_apart(name):
    make, smallest = FIGURES[name]
    figure = make()
    assert plt.get_fignums() == [figure.number]
    assert figure.get_size_inches()[0] <= 5.9
    figure.canvas.draw()
    texts = [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip()
    ]
    assert min(text.get_fontsize() for text in texts) >= smallest
    titles = [panel.title for panel in figure.axes if panel.get_title()]
    if name == "confusion":
        titles = figure.axes[0].texts
    boxes = [title.get_window_extent() for title in titles]
    for i, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_the_examples_are_shown_with_their_classes():
    found = weights()
    panels = plots.examples(found).axes
    assert [panel.get_title() for panel in panels] == [
        NAMES[i] for i in (1, 0, 2, 6, 1)
    ]
    for panel, expected in zip(panels, pixels(found["examples.images"]), strict=True):
        assert np.array_equal(shown(panel), expected)


def test_a_row_shows_the_original_and_what_the_transform_makes_of_it():
    found, names = weights(), ["erase", "cutmix"]
    panels = np.reshape(plots.transforms(found, names).axes, (2, 6))
    assert [row[0].get_ylabel() for row in panels] == ["erase", "CutMix"]
    for row, name in zip(panels, names, strict=True):
        assert np.array_equal(shown(row[0]), pixels(found["examples.images"])[0])
        for panel, expected in zip(
            row[1:], pixels(found[f"{name}.images"]), strict=True
        ):
            assert np.array_equal(shown(panel), expected)
    assert [panel.get_title() for panel in panels[0]] == [""] * 6
    titles = [" ".join(panel.get_title().split()) for panel in panels[1]]
    assert titles == [
        "English springer",
        *["62% English springer 38% cassette player"] * 4,
        "100% gas pump",
    ]


def assert_curves(panel, run, quantity):
    for line, part, area in zip(
        panel.lines, ("train", "validation"), panel.collections, strict=True
    ):
        curves = np.array(run.curves[f"{part}_{quantity}"])
        assert line.get_label() == part
        assert line.get_xdata() == pytest.approx(np.arange(1, curves.shape[1] + 1))
        assert line.get_ydata() == pytest.approx(curves.mean(axis=0))
        edge = area.get_paths()[0].vertices[:, 1]
        assert (edge.min(), edge.max()) == pytest.approx((curves.min(), curves.max()))


def test_training_shows_loss_and_accuracy_with_the_seeds_as_bands():
    run = toy()
    for panel, quantity in zip(training(run).axes, ("loss", "accuracy"), strict=True):
        assert_curves(panel, run, quantity)
        assert quantity in ("loss", panel.get_ylabel())


def test_the_comparison_has_a_column_for_each_run():
    both = {"short": toy(), "long": toy(1, epochs=2 * EPOCHS)}
    panels = np.reshape(plots.comparison(both).axes, (2, 2))
    assert [panel.get_title() for panel in panels[0]] == ["short", "long"]
    for row, quantity in zip(panels, ("loss", "accuracy"), strict=True):
        assert row[0].get_ylim() == row[1].get_ylim()
        for panel, run in zip(row, both.values(), strict=True):
            assert_curves(panel, run, quantity)


def test_the_confusions_are_percentages_of_each_class_over_all_seeds():
    labels, given = answers(np.random.default_rng(5))
    run = toy()
    run.curves["confusion"] = [
        confusion_matrix(labels, row).flatten().tolist() for row in given
    ]
    axes = plots.confusion(run).axes[0]
    expected = 100 * confusion_matrix(
        np.tile(labels, SEEDS), given.flatten(), normalize="true"
    )
    assert np.asarray(axes.images[0].get_array()) == pytest.approx(expected)
    assert [label.get_text() for label in axes.get_yticklabels()] == list(NAMES)
    assert [label.get_text() for label in axes.get_xticklabels()] == list(NAMES)
    found = {tuple(text.get_position()): text.get_text() for text in axes.texts}
    assert found == {
        (j, i): f"{value:.1f}" if value else "0"
        for (i, j), value in np.ndenumerate(expected)
    }
    assert "0" in found.values()


def test_the_table_of_the_classes_has_mean_deviation_and_the_most_frequent_error():
    labels, given = answers(np.random.default_rng(6))
    given[:, labels == 9] = 9
    run = toy()
    run.curves["confusion"] = [
        confusion_matrix(labels, row).flatten().tolist() for row in given
    ]
    rows = [
        [cell.strip() for cell in row.split("|")[1:-1]]
        for row in plots.per_class(run).splitlines()[2:]
    ]
    assert [row[0] for row in rows] == list(NAMES)
    for i, row in enumerate(rows):
        of_class = given[:, labels == i]
        right = 100 * (of_class == i).mean(axis=1)
        assert row[1:4] == [
            str(of_class.shape[1]),
            f"{right.mean():.1f}",
            f"{right.std(ddof=1):.1f}",
        ]
        wrong = np.bincount(of_class[of_class != i], minlength=10)
        if i == 9:
            assert row[4:] == ["", ""]
        else:
            assert row[4:] == [
                NAMES[wrong.argmax()],
                f"{100 * wrong.max() / of_class.size:.1f}",
            ]


def test_each_mistake_has_its_class_its_answer_and_its_probability():
    found = weights()
    panels = plots.mistakes(found).axes
    assert len(panels) == 24
    for i, (panel, expected) in enumerate(
        zip(panels, pixels(found["mistakes.images"]), strict=True)
    ):
        assert np.array_equal(shown(panel), expected)
        label, answer = NAMES[i % 3], NAMES[[1, 2, 6][i % 3]]
        assert (
            panel.get_title()
            == f"{label}\n{answer}\n{100 * found['mistakes.confidence'][i]:.0f}%"
        )


def test_fewer_mistakes_than_places_leave_the_rest_empty():
    found = {
        name: value[:7] if name.startswith("mistakes") else value
        for name, value in weights().items()
    }
    panels = plots.mistakes(found).axes
    assert [len(panel.images) for panel in panels] == [1] * 7 + [0] * 5
    assert not any(panel.axison for panel in panels[7:])


def test_noise_shows_each_run_with_its_seeds_and_the_levels_of_the_assignment():
    both = {"plain": toy(), "augmented": toy(1)}
    axes = plots.noise(both).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    for (title, run), area in zip(both.items(), axes.collections, strict=True):
        accuracy = np.array(run.curves["noise_accuracy"])
        assert lines[title].get_xdata() == pytest.approx([0, 0.1, 0.5])
        assert lines[title].get_ydata() == pytest.approx(accuracy.mean(axis=0))
        edge = area.get_paths()[0].vertices
        for level, low, high in zip(
            (0, 0.1, 0.5), accuracy.min(axis=0), accuracy.max(axis=0), strict=True
        ):
            heights = edge[edge[:, 0] == level, 1]
            assert (heights.min(), heights.max()) == pytest.approx((low, high))
    marks = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"]
    assert marks == pytest.approx(NOISE)


def test_the_table_of_the_noise_has_both_deviations():
    run = toy()
    rows = [
        [cell.strip() for cell in row.split("|")[1:-1]]
        for row in plots.noise_table(run).splitlines()[2:]
    ]
    clean = 100 * np.array(run.summary["test_accuracy"]["values"])
    assert rows[0] == ["0", f"{clean.mean():.2f}", f"{clean.std(ddof=1):.2f}", ""]
    for row, name in zip(rows[1:], ("0.005", "0.01", "0.05"), strict=True):
        values, draws = (
            100 * np.array(run.summary[f"noise_{name}{end}"]["values"])
            for end in ("", "_std")
        )
        assert row == [
            name,
            f"{values.mean():.2f}",
            f"{values.std(ddof=1):.2f}",
            f"{draws.mean():.2f}",
        ]


def test_the_settings_are_all_of_one_run_and_the_differences_of_two():
    one = toy(
        config={
            "widths": [32, 64],
            "weight_decay": 0.005,
            "augmentation": [],
            "optimizer": "sgd",
        }
    )
    other = toy(
        config=one.config | {"weight_decay": 0.002, "augmentation": ["crop", "flip"]}
    )
    head, _, *rows = plots.settings({"Value": one}).splitlines()
    assert [head, *rows] == [
        "| Name | Meaning | Value |",
        "| widths | channels of the stages | 32, 64 |",
        "| weight decay | of the weights | 0.005 |",
        "| augmentation |  | none |",
        "| optimizer |  | sgd |",
    ]
    head, _, *rows = plots.settings({"without": one, "with": other}).splitlines()
    assert [head, *rows] == [
        "| Name | Meaning | without | with |",
        "| weight decay | of the weights | 0.005 | 0.002 |",
        "| augmentation |  | none | crop, flip |",
    ]


def test_the_meanings_are_those_of_hyper_parameters():
    assert set(plots.MEANINGS) <= set(vars(imagenette.Config()))
