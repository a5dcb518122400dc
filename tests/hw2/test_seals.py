"""Seals: what counts as stating something, and that any change of it shows."""

import json

import pytest

from hw2 import seals
from hw2.paths import REPORT
from qmdpdf.source import expand

PAGE = """\
# A title with 3 words

These words say nothing about anything. The network reaches a better result, see
@fig-one. Eight of them are wrong.

::: {#thm-one name="A theorem"}
Let $x$ be injective. Then it falls.
:::

::: {.proof}
The first is @eq-a.
:::

A result is `{python} run.test`, and this is by @author.

```{python}
#| fig-cap: "Left: one thing. Right: another."
print(f"reached 91 {x:.2f}")
y = 17
```
"""


@pytest.fixture
def page(tmp_path):
    file = tmp_path / "page.qmd"
    file.write_text(PAGE)
    return file


@pytest.fixture
def file(page, tmp_path):
    file = tmp_path / "sealed.json"
    seals.seal(expand(page), file)
    return file


def test_what_states_something_is_sealed(page):
    texts = [sentence.text for sentence in seals.sentences(expand(page))]
    assert texts == [
        '::: {#thm-one name="A theorem"} Let $x$ be injective. Then it falls.',
        '"Left: one thing. Right: another."',
        'print(f"reached 91 {x:.2f}")',
        "# A title with 3 words",
        "The network reaches a better result, see @fig-one.",
        "Eight of them are wrong.",
        "Let $x$ be injective.",
        "Then it falls.",
        "The first is @eq-a.",
        "A result is `{python} run.test`, and this is by @author.",
    ]


def test_nothing_is_broken_after_sealing(page, file):
    assert seals.broken(expand(page), file) == []
    assert seals.seal(expand(page), file) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("it falls", "it rises"),
        ("first is @eq-a", "first is @eq-b"),
        ("be injective", "be any function"),
        ("Eight of", "Eleven of"),
        ("with 3 words", "with 4 words"),
        ("@fig-one", "@fig-two"),
        ("@author", "@other"),
        ("run.test", "run.validation"),
        ("Left: one", "Right: one"),
        ("reached 91", "reached 92"),
        ("a better result", "a worse result"),
    ],
)
def test_a_change_shows_at_its_place_until_it_is_sealed(page, file, old, new):
    page.write_text(PAGE.replace(old, new))
    messages = [message for _, message in seals.broken(expand(page), file)]
    assert any(new in message and "make seal" in message for message in messages)
    difference = seals.seal(expand(page), file)
    assert any(line.startswith("+") and new in line for line in difference)
    assert seals.broken(expand(page), file) == []


def test_a_macro_that_turns_formulas_shows(page, file):
    (page.parent / "preamble.tex").write_text("\\renewcommand{\\ge}{\\le}\n")
    page.write_text(PAGE + "\n\\renewcommand{\\mu}{\\nu}\n")
    messages = [message for _, message in seals.broken(expand(page), file)]
    assert [message.split("not sealed: ")[1][:17] for message in messages] == [
        "\\renewcommand{\\mu",
        "\\renewcommand{\\ge",
    ]


def test_words_that_state_nothing_may_change(page, file):
    page.write_text(PAGE.replace("These words say", "Others tell you"))
    assert seals.broken(expand(page), file) == []


def test_a_sentence_that_is_gone_shows(page, file):
    page.write_text(PAGE.replace("Eight of them are wrong.", ""))
    messages = [message for _, message in seals.broken(expand(page), file)]
    assert len(messages) == 1
    assert "gone: Eight of them are wrong." in messages[0]


def test_a_damaged_file_is_named(page, file):
    file.write_text("{")
    with pytest.raises(ValueError, match=r"sealed\.json.*restore it from git"):
        seals.broken(expand(page), file)


def test_the_file_is_text_that_can_be_read(file):
    assert "A result is" in json.dumps(json.loads(file.read_text()))


@pytest.mark.skipif(not seals.SEALED.is_file(), reason="nothing is sealed yet")
def test_the_report_is_as_it_was_sealed():
    assert [message for _, message in seals.broken(expand(REPORT))] == []
