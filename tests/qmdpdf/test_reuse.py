"""Results are reused only where nothing that could change them has changed, and then
give the same document.
"""

import pytest

from qmdpdf.__main__ import main
from qmdpdf.execute import execute
from qmdpdf.reuse import keep, key, restore
from qmdpdf.source import read
from qmdpdf.weave import weave

PAGE = """\
Some prose, the value is `{python} 1 + 1`.

$$ y = x $$ {#eq-a}

It costs `{python} "1 $"` or 2 \\$. Where $n = p$, it is large.

::: {#thm-a}
It rises.
:::

```{python}
#| label: fig-a
#| fig-cap: "A figure. It has $k = 2$."
import matplotlib.pyplot as plt
plt.plot([1, 2])
plt.show()
print(6 * 7)
```
"""


@pytest.fixture
def page(tmp_path):
    (tmp_path / "page.qmd").write_text(PAGE)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("a = 1")
    return tmp_path / "page.qmd"


def key_of(page):
    return key(read(page), [page.parent / "code"])


def test_restored_results_are_those_of_the_execution(page, woven_text, tmp_path):
    executed, restored = read(page), read(page)
    execute(executed)
    keep(executed, tmp_path / "kept", "name")
    assert restore(restored, tmp_path / "kept", "name")
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    assert weave(restored, tmp_path / "one") == weave(executed, tmp_path / "two")
    (figure,) = (tmp_path / "one").iterdir()
    assert figure.read_bytes() == (tmp_path / "two" / figure.name).read_bytes()
    assert "the value is 2." in woven_text(restored, tmp_path / "one")


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("Some prose", "Other words", True),
        ("A figure.", "Another caption.", True),
        ("1 + 1", "1 + 2", False),
        ("6 * 7", "6 * 8", False),
        ("y = x", "y = 2 x", False),
        ("{#eq-a}", "{#eq-b}", False),
        ("n = p", "n < p", False),
        # a backtick in a formula begins no code that would hide it
        ("$n = p$", "$n = p` + 1$ and $+ 2 `$", False),
        ("It rises.", "It falls.", False),
        ("k = 2", "k = 3", False),
    ],
)
def test_what_may_change_a_result_changes_the_key(page, old, new, same):
    before = key_of(page)
    assert key_of(page) == before
    page.write_text(PAGE.replace(old, new))
    assert (key_of(page) == before) is same


def test_files_and_the_commit_date_belong_to_the_key(page, monkeypatch):
    keys = {key_of(page)}
    (page.parent / "code" / "a.py").write_text("a = 2")
    keys.add(key_of(page))
    (page.parent / "code" / "b.py").write_text("")
    keys.add(key_of(page))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "12345")
    keys.add(key_of(page))
    assert len(keys) == 4


def test_the_folder_that_chunks_run_in_belongs_to_the_key(tmp_path):
    page, keys = tmp_path / "report" / "page.qmd", set()
    page.parent.mkdir()
    page.write_text(PAGE)
    for folder in ("file", "project"):
        setting = f"project:\n  execute-dir: {folder}\n"
        (tmp_path / "_quarto.yml").write_text(setting)
        keys.add(key(read(page), []))
    assert len(keys) == 2


@pytest.mark.parametrize("content", ["", "[", "[1]", '[{"other": 1}]'])
def test_damaged_results_do_not_count(page, tmp_path, content):
    (tmp_path / "name.json").write_text(content)
    assert not restore(read(page), tmp_path, "name")


def test_only_the_last_results_are_kept(page, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "package.json").write_text("somebody else's")
    for name in (64 * "1", 64 * "2"):
        keep(read(page), tmp_path / "kept", name)
    found = {file.stem for file in (tmp_path / "kept").iterdir()}
    assert found == {"package", 64 * "2"}


def test_a_source_is_not_overwritten_and_a_dependence_has_to_be_there(page, capsys):
    before = page.read_text()
    with pytest.raises(SystemExit):
        main([str(page), "--output", str(page)])
    assert "the name of a PDF ends in .pdf" in capsys.readouterr().err
    assert main([str(page), "--depends", "nowhere"]) == 1
    assert "--depends: there is no nowhere" in capsys.readouterr().err
    assert page.read_text() == before
    with pytest.raises(SystemExit, match="2"):
        main(["."])


def test_the_command_line_runs_the_chunks_once(page, tmp_path, capsys):
    arguments = [
        str(page),
        "--reuse",
        str(tmp_path / "kept"),
        "--depends",
        str(tmp_path / "code"),
    ]
    assert main(arguments) == 0
    assert "reused" not in capsys.readouterr().out
    first = page.with_suffix(".pdf").read_bytes()
    page.write_text(PAGE.replace("Some prose", "Other words"))
    assert main(arguments) == 0
    assert "their results are reused" in capsys.readouterr().out
    assert page.with_suffix(".pdf").read_bytes() != first


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("values.csv", False),
        ("helper.py", False),
        ("images/photo.png", False),
        ("other.qmd", False),
        ("part/_included.qmd", True),  # its chunks and equations are in the key
        ("page.pdf", True),
        ("page_files/figure.png", True),
        (".hidden", True),
        ("__pycache__/helper.pyc", True),
    ],
)
def test_what_lies_beside_the_document_belongs_to_the_key(page, name, same):
    (page.parent / "part").mkdir()
    (page.parent / "part" / "_included.qmd").write_text("Words.\n")
    page.write_text(PAGE + "\n{{< include part/_included.qmd >}}\n")
    before = key(read(page), [page.parent])
    (page.parent / name).parent.mkdir(exist_ok=True)
    (page.parent / name).write_text("Other words.\n")
    assert (key(read(page), [page.parent]) == before) is same


def test_results_of_files_that_changed_meanwhile_are_not_kept(
    page, tmp_path, monkeypatch
):
    for stage in ("convert", "publish"):  # no need for LaTeX
        monkeypatch.setattr(f"qmdpdf.__main__.{stage}", lambda *_: None)
    module = page.parent / "code" / "a.py"
    page.write_text(
        "```{python}\nfrom pathlib import Path\n"
        f"module = Path({str(module)!r})\n"
        "if module.read_text() == 'a = 1':\n    module.write_text('a = 2')\n```\n"
    )
    arguments = [str(page), "--reuse", str(tmp_path / "kept")]
    arguments += ["--depends", str(module.parent)]
    assert main(arguments) == 0
    assert list((tmp_path / "kept").glob("*.json")) == []
    assert main(arguments) == 0  # nothing changes any more
    assert len(list((tmp_path / "kept").glob("*.json"))) == 1
