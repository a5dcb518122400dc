#!/bin/sh
# What `make` does on a new machine: `python`, `tex` and `renderer` set things up, `render` makes the PDF.
set -eu

fail() {
    printf 'error: %s\n' "$@" >&2
    exit 1
}

mkdir -p .build 2>/dev/null && touch .build/lock 2>/dev/null ||
    fail "nothing can be written into $(pwd); copy the project to a folder where you may write, or free some space"
# one at a time, where the system has flock; a lock ends with its process, however that ends
if command -v flock >/dev/null; then
    exec 9>.build/lock
    flock -n 9 || {
        echo "Waiting for another make in this folder" >&2
        flock 9
    }
fi

python() {
    if [ .venv/.ready -nt requirements.lock ] && [ .venv/.ready -nt pyproject.toml ]; then
        return # by the make that this one has waited for
    fi
    command -v "$PYTHON" >/dev/null || fail "no $PYTHON found; install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3"
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$PYTHON is $("$PYTHON" --version 2>&1), Python 3.11 or newer is needed; name one: make PYTHON=python3.12"
    "$PYTHON" -m venv .venv || fail "no virtual environment; on Debian or Ubuntu: apt-get install python3-venv"
    echo "Installing the Python packages of requirements.lock into .venv (with PyTorch for GPUs about 3 GB to download)"
    .venv/bin/python -m pip install --disable-pip-version-check --require-hashes -r requirements.lock
    .venv/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
    touch .venv/.ready
}

tex_is_complete() {
    command -v latexmk >/dev/null && command -v lualatex >/dev/null && command -v kpsewhich >/dev/null &&
        [ "$(kpsewhich scrartcl.cls unicode-math.sty fvextra.sty microtype.sty lmroman10-regular.otf | wc -l)" -eq 5 ]
}

tex() {
    if ! tex_is_complete; then
        packages="texlive-luatex texlive-latex-recommended texlive-latex-extra texlive-fonts-recommended lmodern latexmk"
        root=
        [ "$(id -u)" -eq 0 ] || root="sudo -n"
        if command -v apt-get >/dev/null && $root true 2>/dev/null; then
            echo "Installing TeX with apt-get (about 250 MB to download)"
            $root apt-get update -q >.build/tex.log 2>&1 &&
                $root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages \
                    >>.build/tex.log 2>&1 || fail "apt-get could not install TeX:" "$(tail -n 5 .build/tex.log)"
        fi
        tex_is_complete || fail "no complete TeX found (lualatex, latexmk, KOMA-Script, Latin Modern); install one:" \
            "  Debian, Ubuntu:  sudo apt-get install $packages" \
            "  Fedora:          sudo dnf install texlive-scheme-medium texlive-fvextra latexmk" \
            "  macOS:           brew install --cask mactex-no-gui" \
            "  with Quarto:     quarto install tinytex"
    fi
    touch .build/tex
}

is_usable() { # 1.4 or newer
    version=$("$1" --version 2>/dev/null) && printf '1.4\n%s\n' "$version" | sort -CV
}

# Prints the path of a usable Quarto, or nothing. The download is tried once; `make clean` forgets that it failed.
find_quarto() {
    for candidate in quarto .venv/bin/quarto; do
        if command -v "$candidate" >/dev/null && is_usable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    [ -e .build/no-quarto ] && return
    if .venv/bin/python -c 'from urllib.request import urlopen; urlopen("https://github.com/quarto-dev/quarto-cli/releases", timeout=5)' \
        >/dev/null 2>&1 && echo "Downloading Quarto into .venv" >&2 &&
        .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --require-hashes -r code/quarto.lock \
            >.build/quarto.log 2>&1 && is_usable .venv/bin/quarto; then
        echo .venv/bin/quarto
    else
        touch .build/no-quarto
    fi
}

render() {
    case "$RENDERER" in
    auto | quarto) quarto=$(find_quarto) ;;
    pandoc) quarto= ;;
    *) fail "RENDERER=$RENDERER is unknown; use auto, quarto or pandoc" ;;
    esac
    if [ -z "$quarto" ]; then
        [ "$RENDERER" != quarto ] || fail "RENDERER=quarto, but Quarto 1.4 or newer is neither on PATH nor can it be downloaded"
        [ -e .build/tex ] || tex
        echo "Renderer: qmdpdf with pandoc $(.venv/bin/python -c 'import pypandoc; print(pypandoc.get_pandoc_version())')"
        depends="code requirements.lock _quarto.yml"
        [ ! -d runs ] || depends="$depends runs"
        exec .venv/bin/python -m qmdpdf report/hw2.qmd --reuse .build/results --depends $depends
    fi
    # Quarto prefers its own TinyTeX; where that is missing it takes the TeX of the system
    [ -e .build/tex ] || [ -d "$HOME/.TinyTeX" ] || [ -d "$HOME/Library/TinyTeX" ] || tex
    echo "Renderer: Quarto $("$quarto" --version) ($quarto)"
    # Quarto leaves unknown references in the text, so its PDF is checked here
    [ ! -e report/hw2.pdf ] || cp -p report/hw2.pdf .build/previous.pdf
    if ! { "$quarto" render report/hw2.qmd && .venv/bin/python -m hw2 inspect report/hw2.pdf; }; then
        rm -f report/hw2.pdf
        [ ! -e .build/previous.pdf ] || cp -p .build/previous.pdf report/hw2.pdf
        exit 1
    fi
}

"$1"
