"""What the report's preamble promises, on a document made for it."""

import shutil
import subprocess

import pytest
from pypdf import PdfReader

from hw2.paths import ROOT

ROWS = r"""\begin{longtable}[]{@{}ll@{}}
%s
\toprule\noalign{}
Name & Value \\
\midrule\noalign{}
\endhead
\bottomrule\noalign{}
\endlastfoot
%s
\end{longtable}
"""
DOCUMENT = r"""\documentclass[a4paper]{scrartcl}
\usepackage{amsmath,amsthm,xcolor,longtable,booktabs,array,calc,hyperref}
\input{%s}
\begin{document}
Text. \vspace{0.8\textheight}

%s
\newpage
Text. \vspace{0.8\textheight}

\splittables
%s
\end{document}
"""

EQUATION = r"""\documentclass[a4paper]{scrartcl}
\usepackage{amsmath,amsthm,xcolor,hyperref}
\input{%s}
\begin{document}
%s

Sentence before %s:

%s
\end{document}
"""


def rows(letter):
    return "\n".join(rf"{letter}{number} & 1 \\" for number in range(20, 40))


def pages(folder):
    subprocess.run(
        ["lualatex", "-interaction=batchmode", "-halt-on-error", "page.tex"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return [page.extract_text() for page in PdfReader(folder / "page.pdf").pages]


@pytest.mark.skipif(not shutil.which("lualatex"), reason="no LaTeX")
def test_tables_stay_whole_unless_they_may_be_split(tmp_path):
    whole = ROWS % (r"\caption{Whole.}\tabularnewline", rows("a"))
    split = ROWS % ("", rows("b"))
    preamble = ROOT / "report" / "preamble.tex"
    (tmp_path / "page.tex").write_text(DOCUMENT % (preamble, whole, split))
    texts = pages(tmp_path)

    def places(letter):
        return {
            number
            for number, text in enumerate(texts, 1)
            for row in range(20, 40)
            if f"{letter}{row} " in text.replace("\n", " ")
        }

    assert places("a") == {2}
    assert places("b") == {3, 4}


@pytest.mark.skipif(not shutil.which("lualatex"), reason="no LaTeX")
@pytest.mark.parametrize("shown", [r"\[ %s \]", r"\begin{equation} %s \end{equation}"])
def test_an_equation_stands_with_the_sentence_before_it(tmp_path, shown):
    tall = shown % r"4711 \rule{0pt}{0.06\textheight}"
    text = r"Filled. \vspace{0.9\textheight}"
    preamble = ROOT / "report" / "preamble.tex"
    (tmp_path / "page.tex").write_text(EQUATION % (preamble, text, "it", tall))
    first, second = pages(tmp_path)
    assert "4711" not in first
    assert "Sentence before it" in second
    assert "4711" in second
