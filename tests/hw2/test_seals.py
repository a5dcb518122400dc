"""Seals: any change of what the pages say shows, once, at its place."""

import json

import pytest

from hw2 import claims, seals
from qmdpdf.source import expand

PAGE = """\
# A title with 3 words

These words say nothing about anything. The network reaches a better result, see
@fig-one. Eight of them are wrong.

::: {#thm-one name="A theorem"}
Let $x$ be injective. Then it falls.
:::

::: {.proof}
The first is @eq-a:

$$
x = y \\\\
\\text{a. B}
$$ {#eq-a}

<!-- nobody
reads this -->

which is a chain.
:::

A result is `{python} run.test`, and this is by @author.

```{python}
#| fig-cap: "Left: one thing. Right: another."
print(f"reached 91 {x:.2f}")
for sigma in (2.0, 3.0):
    y = draw(sigma=2.0)
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


def test_all_that_a_page_says_is_sealed_in_its_order(page):
    texts = [sentence.text for sentence in seals.sentences(expand(page))]
    assert texts == [
        "# A title with 3 words",
        "These words say nothing about anything.",
        "The network reaches a better result, see @fig-one.",
        "Eight of them are wrong.",
        '::: {#thm-one name="A theorem"} Let $x$ be injective. Then it falls. :::',
        "::: {.proof}",
        "The first is @eq-a:",
        "$$ x = y \\\\ \\text{a. B} $$ {#eq-a}",
        "which is a chain.",
        ":::",
        "A result is `{python} run.test`, and this is by @author.",
        "```{python}",
        '#| fig-cap: "Left: one thing. Right: another."',
        'print(f"reached 91 {x:.2f}")',
        "for sigma in (2.0, 3.0):",
        "    y = draw(sigma=2.0)",
    ]


def test_each_piece_has_the_line_where_it_begins(page):
    lines = PAGE.splitlines()
    for sentence in seals.sentences(expand(page)):
        number = int(sentence.where.rsplit(":", 1)[1])
        assert sentence.text.split()[0] in lines[number - 1]


def test_a_theorem_is_one_piece_with_its_label(page):
    labels = [s.label for s in seals.sentences(expand(page)) if s.label]
    assert labels == ["thm-one"]


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
        ("say nothing", "say everything"),
        ("sigma=2.0", "sigma=1.0"),
        ("x = y", "x = z"),
        ("a chain", "a ring"),
        ('name="A theorem"', 'name="A lemma"'),
    ],
)
def test_a_change_shows_at_its_place_until_it_is_sealed(page, file, old, new):
    page.write_text(PAGE.replace(old, new))
    messages = [message for _, message in seals.broken(expand(page), file)]
    assert len(messages) == 1
    assert new in messages[0]
    assert "make seal" in messages[0]
    assert old in messages[0].split("it was sealed as")[1]
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


def test_a_change_of_order_shows(page, file):
    first, second = "Eight of them are wrong.", "The network reaches"
    page.write_text(PAGE.replace(f"{first}\n", "").replace(second, f"{first} {second}"))
    messages = [message for _, message in seals.broken(expand(page), file)]
    assert len(messages) == 2
    assert all(first in message or second in message for message in messages)


def test_line_breaks_and_comments_may_change(page, file):
    page.write_text(
        PAGE.replace("These words say", "These\nwords  say").replace("reads this", "d")
    )
    assert seals.broken(expand(page), file) == []


def test_what_stands_between_marks_of_comments_in_code_is_sealed(page, file):
    page.write_text(f"{PAGE}\nSo `<!--` the sum is three `-->` here.\n")
    (message,) = [message for _, message in seals.broken(expand(page), file)]
    assert "the sum is three" in message


def test_a_sentence_that_is_gone_shows(page, file):
    page.write_text(PAGE.replace("Eight of them are wrong.", ""))
    messages = [message for _, message in seals.broken(expand(page), file)]
    assert len(messages) == 1
    assert "page.qmd:" in messages[0]
    assert "gone: Eight of them are wrong." in messages[0]


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 3}', '{"a": [3]}'])
def test_a_damaged_file_is_named(page, file, content):
    file.write_text(content)
    with pytest.raises(seals.SealError, match=r"sealed\.json.*restore it from git"):
        seals.broken(expand(page), file)


def test_the_file_is_text_that_can_be_read(file):
    assert "A result is" in json.dumps(json.loads(file.read_text()))


@pytest.mark.skipif(not seals.SEALED.is_file(), reason="nothing is sealed yet")
def test_the_report_is_as_it_was_sealed():
    assert [message for _, message in seals.broken(seals.pages())] == []


def test_what_a_claim_says_of_itself_is_sealed(tmp_path):
    assert {
        sentence.text.split("'")[1]
        for sentence in seals.sentences(seals.pages())
        if "theory" in sentence.file and sentence.file.endswith(".py")
    } == set(claims.registry())
    source = (
        '@claim("eq-a", "is one", held="on instances", method="m", domain="d",\n'
        '       claimed=one, mutants={"two": 2})\ndef check(x): ...\n'
    )
    file = tmp_path / "a.py"
    told = set()
    for old, new in (("", ""), ("on instances", "for all values"), ('"two": 2', "")):
        file.write_text(source.replace(old, new))
        [(text, line)] = seals._claims(tmp_path)
        assert (line.path, line.number) == (file, 1)
        told.add(text)
    assert len(told) == 3


def test_title_and_settings_are_sealed_and_the_students_are_not():
    sealed = seals.sealed()
    told = "\n".join(sealed["../_quarto.yml"])
    assert "Convolutional" in told
    assert "Homework 2" in told
    assert "number-sections: true" in told
    assert "name:" not in told
    assert (
        r"\newcommand{\tick}{\textcolor{teal}{$\checkmark$}}" in sealed["preamble.tex"]
    )
    assert "../code/qmdpdf/header.tex" in sealed


def test_the_place_of_an_included_file_is_sealed(tmp_path):
    for name in "abc":
        (tmp_path / f"_{name}.qmd").write_text(f"Words of {name}.\n")
    page = tmp_path / "page.qmd"
    lines = ["First.", "{{< include _a.qmd >}}", "Second.", "{{< include _b.qmd >}}"]
    lines += ["{{< include _c.qmd >}}", "Third."]

    def texts(*order):
        page.write_text("\n\n".join(lines[i] for i in order))
        return seals.sentences(expand(page))

    found = [s.text for s in texts(*range(6)) if s.file == "page.qmd"]
    told = [f"include _{name}.qmd" for name in "abc"]
    assert found == ["First.", told[0], "Second.", *told[1:], "Third."]
    seals.seal(expand(page), file := tmp_path / "sealed.json")
    assert not seals.broken(expand(page), file)
    for order in ((0, 1, 2, 4, 3, 5), (0, 2, 1, 3, 4, 5), (0, 1, 2, 3, 5, 4)):
        texts(*order)
        assert seals.broken(expand(page), file)


def test_the_words_of_figures_and_references_are_sealed(tmp_path):
    file = tmp_path / "plot.py"
    file.write_text(
        '"""Not on the page."""\n'
        "def draw(axes, n):\n"
        '    "Nor this."\n'
        '    axes.set_xlabel("training accuracy")\n'
        '    axes.set_title(f"{n} seeds, " "the band is one")\n'
    )
    found = [(text, line.number) for text, line in seals._words([file])]
    # the pieces around what is computed, each where it stands
    assert found == [("training accuracy", 4), ("seeds, the band is one", 5)]
    sealed = {text for texts in seals.sealed().values() for text in texts}
    assert "author = {Glorot, Xavier and Bengio, Yoshua}," in sealed
    assert "chance that a unit is left out" in sealed
