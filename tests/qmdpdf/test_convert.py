"""Converting: the PDF as a reader finds it, the same bytes again, and LaTeX's errors at
their source.
"""

import os
import re
import shutil
from datetime import UTC, datetime

import pytest

import qmdpdf.convert as convert_module
from qmdpdf.__main__ import main
from qmdpdf.convert import convert, latex_error, publish, refuse_lost, write_latex
from qmdpdf.metadata import QmdError
from qmdpdf.source import read
from qmdpdf.weave import weave

QUARTO = "title: T\nformat:\n  pdf:\n    documentclass: scrartcl\n"
NUMBERED = f"{QUARTO}    toc: true\n    number-sections: true\n"


@pytest.mark.parametrize(
    "phrase",
    [
        "A small document With everything Ada Lovelace Charles Babbage Contents",
        "Figures: Figure 1, Figure 2, Figure 2b, Figure 3. Tables: Table 1, Table 2.",
        "Equations: Equation 1, Equation 2, Equation 3. Sections: Section 1, Section A.",
        "Statements: Theorem 2.1, Lemma 2.1, Corollary 2.1, Proposition 2.1, Definition 2.1.",
        "Bare: 1; own word: Fig. 2; two: Figure 1, Table 1.",
        "The answer is 42, a*b_c -- 'd' and bold.1 See (Knuth 1984).",
        "1What the footnote says.",
        "a2 + b2 = c2 (1) e = f (2)",
        "u = v (3)",
        "Figure 1: One line, y = x",
        "(a) going up",
        "(b) going down Figure 2: Two lines",
        "Figure 3: Drawn by hand",
        "Table 1: Squares of numbers number square 2 4 3 9",
        "Table 2: Written by hand left right one two",
        "Theorem 2.1 (On x2 in [0, 1]). What the theorem says.",
        "Proof. How the theorem follows.",
        "Lemma 2.1 (A headed lemma). What the lemma says.",
        "Corollary 2.1. What the corollary says.",
        "Proposition 2.1. What the proposition says.",
        "Definition 2.1. What the definition says.",
        "Proof of the lemma.",
        "A link. Defined in the header. Defined in the preamble. Set on November 14, 2023.",
        "A. An appendix Its text. The word "
        # from left to right: the first letter is the last one here
        "\N{HEBREW LETTER FINAL MEM}\N{HEBREW LETTER VAV}\N{HEBREW LETTER LAMED}"
        "\N{HEBREW LETTER SHIN} is Hebrew.",
        "References Knuth, Donald E. 1984. “Literate Programming.” The Computer Journal.",
    ],
)
def test_text(rendered, phrase):
    assert phrase in rendered.text


def test_nothing_of_the_sources_is_left(rendered):
    assert not re.search(r"@|\?\?|:::|\{#|#\||```|\\[a-z]|plt\.", rendered.text)


def test_contents_and_bookmarks(rendered):
    titles = ["First section", "Second section", "An appendix", "References"]
    contents = re.search(
        r"Contents 1\. (.+?) \d 2\. (.+?) \d A\. (.+?) \d (\w+) \d 1\. First section",
        rendered.text,
    )
    assert list(contents.groups()) == titles
    assert [item.title for item in rendered.reader.outline] == titles


def test_links(rendered):
    annotations = [
        link.get_object()["/A"]
        for page in rendered.reader.pages
        for link in page.get("/Annots", [])
    ]
    assert [action["/URI"] for action in annotations if "/URI" in action] == [
        "https://example.org/page"
    ]
    targets = [action["/D"] for action in annotations if "/D" in action]
    # 4 in the contents, 16 references in lists, 4 others, a footnote and a citation
    assert len(targets) == 26
    assert set(targets) <= set(rendered.reader.named_destinations)


def objects(resources):
    """All XObjects below a PDF's resources, with those inside of other ones."""
    for item in resources.get("/XObject", {}).values():
        item = item.get_object()
        yield item
        yield from objects(item.get("/Resources", {}))


def test_figures_are_vectors(rendered):
    kinds = [
        item["/Subtype"]
        for page in rendered.reader.pages
        for item in objects(page["/Resources"])
    ]
    assert set(kinds) == {"/Form"}
    assert len(kinds) >= 4
    labels = [
        page for page in rendered.reader.pages if "abscissa" in page.extract_text()
    ]
    assert len(labels) == 1  # the text of a figure is text


def test_proofs_end_with_a_box(rendered):
    """A box is drawn with two vertical rules; the first proof's stand on the line of
    its last words.
    """
    (page,) = [
        page
        for page in rendered.reader.pages
        if "How the theorem follows" in page.extract_text()
    ]
    rule = r"1 0 0 1 [\d.]+ ([\d.]+) cm\s+\[\] 0 d 0 J [\d.]+ w 0 0 m 0 [\d.]+ l S"
    heights = re.findall(rule, page.get_contents().get_data().decode("latin-1"))
    assert heights == [heights[0]] * 2 + [heights[2]] * 2
    lines = {}
    page.extract_text(
        visitor_text=lambda text, _, matrix, *__: lines.setdefault(
            round(matrix[5], 1), []
        ).append(text)
    )
    assert "follows" in "".join(lines[round(float(heights[0]), 1)])


def test_paper_size_is_the_projects(rendered):
    assert [round(float(side)) for side in rendered.reader.pages[0].mediabox[2:]] == [
        595,
        842,
    ]


def test_same_bytes_from_another_folder(
    rendered, small_document, monkeypatch, passes, tmp_path
):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setenv("TZ", "Asia/Jerusalem")  # where it is the next day already
    personal = tmp_path / "latexmk" / "latexmkrc"
    personal.parent.mkdir()
    personal.write_text('$out_dir = "elsewhere";\n$lualatex = "false";\n')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    document = small_document("other")
    monkeypatch.chdir(document.parent)
    shutil.copytree(rendered.left, "kept/latex")  # so that LaTeX runs less often
    assert main([document.name, "--reuse", "kept"]) == 0
    assert rendered.reader.metadata.creation_date == datetime.fromtimestamp(
        1700000000, UTC
    )
    assert document.with_suffix(".pdf").read_bytes() == rendered.pdf.read_bytes()


NOISE = "This is LuaHBTeX, Version 1.17.0\n(./document.tex\nLaTeX2e <2023-11-01>\n"


@pytest.mark.parametrize(
    ("log", "where"),
    [
        ("./document.tex:72: Misplaced alignment tab character &.\nl.72 word x \\(a &\n                b\\)\n", ":5"),
        ("./document.tex:80: Undefined control sequence.\nl.80 Bad \\frac\n           {1}\n", ":7"),
        ("./document.tex:81: LaTeX Error: Environment nosuch undefined.\n\nSee the manual.\n ...\n\n"
         "l.81 \\begin{nosuch}\n                    \n", ":10"),
        ("! File ended while scanning use of \\frac .\n<inserted text>\n", ""),
        ("! Undefined control sequence.\nl.3 \\notinthesources\n", ""),
    ],
)  # fmt: skip
def test_latex_error_is_found_by_the_words_before_it(project, log, where):
    source = "x and $a$\n\nword a $\\frac{1}{2}$\n\nword x $a & b$\n\nBad $\\frac{1$ \n\n```{=latex}\n\\begin{nosuch}\n```\n"
    document = read(project({"doc.qmd": source}))
    tail = "Here is how much of LuaTeX's memory you used:\n" + "".join(
        f" {i} words\n" for i in range(50)
    )
    message = latex_error(document, NOISE + log + tail)
    assert message.startswith(f"doc.qmd{where}: LaTeX error\n{log.splitlines()[0]}\n")
    assert "LuaHBTeX" not in message
    assert len(message.splitlines()) <= 21


def test_what_latex_lost_is_found_in_the_text_or_else_in_the_metadata(project):
    name = "title: T\nauthor:\n  - name: Ada \N{GRINNING FACE}\n"
    lost = "Missing character: There is no \N{GRINNING FACE} (U+1F600) in font [lm]!"
    for text, where in (("text", "_quarto.yml:3"), ("\N{GRINNING FACE}", "doc.qmd:1")):
        document = read(project({"doc.qmd": text, "_quarto.yml": name}))
        with pytest.raises(QmdError, match=rf"^{where}: LaTeX lost.*\n{lost[:20]}"):
            refuse_lost(document, f"{NOISE}{lost}\n")
        refuse_lost(document, NOISE)


def test_latex_failure_without_an_error_line_shows_the_end_of_the_log(project):
    message = latex_error(
        read(project({"doc.qmd": "x"})),
        NOISE + "".join(f"line {i}\n" for i in range(50)),
    )
    assert message.splitlines() == [
        "doc.qmd: LaTeX failed:",
        *(f"line {i}" for i in range(35, 50)),
    ]


def test_publish_replaces_by_a_complete_file(tmp_path, monkeypatch):
    new, target = tmp_path / "new.pdf", tmp_path / "made" / "old.pdf"
    new.write_bytes(b"new" * 1000)
    swaps, replace = [], os.replace

    def watched(source, destination):
        with open(source, "rb") as file:
            swaps.append(file.read())
        replace(source, destination)

    monkeypatch.setattr(os, "replace", watched)
    publish(new, target)
    assert swaps == [new.read_bytes()]
    assert target.read_bytes() == new.read_bytes()
    plain = tmp_path / "plain"
    plain.touch()
    assert target.stat().st_mode == plain.stat().st_mode


def test_publish_that_fails_leaves_the_old_file_alone(tmp_path, monkeypatch):
    new, target = tmp_path / "new.pdf", tmp_path / "old.pdf"
    new.write_bytes(b"new")
    target.write_bytes(b"old")

    def fails(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(KeyboardInterrupt):
        publish(new, target)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "new.pdf": b"new",
        "old.pdf": b"old",
    }


@pytest.fixture
def passes(monkeypatch):
    """How often LaTeX ran in each call of latexmk."""
    counts, original = [], convert_module._attended

    def run(*arguments):
        status, output = original(*arguments)
        counts.append(output.count("Run number"))
        return status, output

    monkeypatch.setattr(convert_module, "_attended", run)
    return counts


@pytest.fixture(scope="module")
def kept(tmp_path_factory, write):
    """A document that was rendered, and the folder with what LaTeX left."""
    folder = tmp_path_factory.mktemp("kept")
    path = write(folder, {"doc.qmd": SECTION, "_quarto.yml": NUMBERED})
    return path, folder / "left", render(path, folder / "new", folder / "left")


SECTION = "# One {#sec-one}\n\nSee @sec-one.\n"


def render(path, folder, left=None):
    """The bytes of the PDF of a document without chunks, dated as others."""
    folder.mkdir()
    document = read(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        return convert(document, weave(document, folder), folder, left).read_bytes()


def test_latex_starts_from_what_the_last_render_left(kept, write, tmp_path, passes):
    path, left, pdf = kept
    shutil.copytree(left, tmp_path / "left")
    assert render(path, tmp_path / "again", tmp_path / "left") == pdf
    assert passes == [1]
    other = write(
        tmp_path, {"doc.qmd": f"# Zero\n\n{SECTION}", "_quarto.yml": NUMBERED}
    )
    changed = render(other, tmp_path / "changed", tmp_path / "left")
    assert changed == render(other, tmp_path / "fresh")
    assert passes[-1] > 1


@pytest.mark.parametrize("content", ["", "\\nonsense", "\\relax \n\\@input{", "\0"])
def test_what_is_left_damaged_does_no_harm(kept, tmp_path, content):
    path, left, pdf = kept
    shutil.copytree(left, tmp_path / "left")
    for file in (tmp_path / "left").iterdir():
        file.write_text(content)
    assert render(path, tmp_path / "again", tmp_path / "left") == pdf


def latex(path, folder):
    """The LaTeX of a document without chunks."""
    folder.mkdir()
    document = read(path)
    write_latex(document, weave(document, folder), folder)
    return (folder / "document.tex").read_text()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "# A {#sec-a}\n\n# B {#sec-a .unnumbered}",
            r"^doc\.qmd:3: duplicate label sec-a",
        ),
        (
            "# A {#sec-a .unnumbered}\n\n# B {#sec-a}",
            r"^doc\.qmd:3: duplicate label sec-a",
        ),
        ("a ![x](a.png){#fig-a} b", r"^doc\.qmd:1: fig-a is an image without a number"),
        (
            "text\n\n\u05e9\u05dc, bidi",
            r"^doc\.qmd:3: \S is written from right to left",
        ),
    ],
)
def test_what_latex_would_misplace_is_refused(project, tmp_path, source, message):
    path = project({"doc.qmd": source, "_quarto.yml": NUMBERED, "a.png": ""})
    with pytest.raises(QmdError, match=message):
        latex(path, tmp_path / "out")


def test_the_head_of_a_theorem_is_not_printed_over(project, tmp_path):
    for i, block in enumerate(("::: {#thm-a}", "::: {.proof}")):
        path = project({"doc.qmd": f"{block}\n```python\nx\n```\n:::"})
        assert r"\leavevmode\par" in latex(path, tmp_path / f"code-{i}")
        path = project({"doc.qmd": f"{block}\nText.\n:::"})
        assert r"\leavevmode" not in latex(path, tmp_path / f"text-{i}")


def test_what_does_not_fit_on_a_page_is_lost(project):
    document = read(project({"doc.qmd": "text"}))
    log = "LaTeX Warning: Float too large for page by 1214.0pt on input line 9.\n"
    with pytest.raises(QmdError, match="larger than the page"):
        refuse_lost(document, log)
    with pytest.raises(QmdError, match="nothing has this label"):
        refuse_lost(document, "LaTeX Warning: Citation `x' on page 1 undefined.\n")


def test_images_are_found_from_the_document(project, tmp_path):
    path = project({
        "report/doc.qmd": "text\n\n![Cap](../figures/x%20y.png)\n",
        "figures/x y.png": "the image",
    })  # fmt: skip
    assert "{image-0.png}" in latex(path, tmp_path / "out")
    assert (tmp_path / "out" / "image-0.png").read_text() == "the image"
    (tmp_path / "figures" / "x y.png").unlink()
    with pytest.raises(QmdError, match=r"^report/doc\.qmd:3: image \.\./figures/x y"):
        latex(path, tmp_path / "other")


def test_images_without_captions_stand_in_their_columns(project, tmp_path):
    images = "![](a.png)\n\n![](b.png)\n\n![](c.png)"
    path = project({
        "doc.qmd": f"::: {{#fig-a layout-ncol=2}}\n{images}\n\nAll.\n:::\n",
        "a.png": "", "b.png": "", "c.png": "",
    })  # fmt: skip
    found = latex(path, tmp_path / "out")
    assert found.count(r"\begin{minipage}[t]{0.490\linewidth}") == 3
    assert r"\subcaption{" not in found
    assert r"\caption{\label{fig-a}All.}" in found


def test_several_bibliographies_in_a_folder_with_an_apostrophe(project, tmp_path):
    entry = "@book{%s, author={%s}, title={T}, year={2000}}"
    path = project({
        "it's _a_/doc.qmd": "See @ada and @bob.\n",
        "it's _a_/_quarto.yml": "bibliography: [a.bib, b.bib]\n",
        "it's _a_/a.bib": entry % ("ada", "Ada, A."),
        "it's _a_/b.bib": entry % ("bob", "Bob, B."),
    })  # fmt: skip
    found = latex(path, tmp_path / "out")
    assert "Ada" in found
    assert "Bob" in found


def test_code_has_the_colours_of_the_named_style(project, tmp_path):
    path = project({"doc.qmd": "```python\nfor\n```\n", "_quarto.yml": NUMBERED})
    (tmp_path / "_quarto.yml").write_text(f"{NUMBERED}    highlight-style: kate\n")
    assert "0.12,0.11,0.11" in latex(path, tmp_path / "out")  # its #1f1c1b


def test_overfull_boxes_are_counted_and_placed(project, tmp_path, capsys):
    wide = "wide" * 50
    source = f"Text.\n\n{wide}\n\n```\nshort\n1 {wide}\n```\n"
    path = project({"doc.qmd": source, "_quarto.yml": QUARTO})
    render(path, tmp_path / "wide", tmp_path / "left")
    printed = capsys.readouterr().out
    assert re.search(
        r"overfull boxes: 2\n  doc.qmd:3: Overfull \\hbox \(\d.*\) in paragraph at .*\n"
        r"  doc.qmd:7: Overfull ",
        printed,
    )
    path.write_text("Text.\n")
    render(path, tmp_path / "narrow", tmp_path / "left")
    assert "overfull boxes: 0\n" in capsys.readouterr().out
