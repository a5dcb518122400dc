#!/bin/sh
# What `make` does on a new machine: `python`, `tex` and `renderer` set things up, `render` makes the PDF.
set -eu

fail() {
    printf 'error: %s\n' "$@" >&2
    exit 1
}

if [ "$1" = installed ]; then # asked by Quarto before a render, see _quarto.yml
    [ -e .venv/.ready ] || fail "the project's Python packages are not installed yet; run \`make pdf\` once, in $(pwd)"
    exit
fi

mkdir -p .build 2>/dev/null && touch .build/lock 2>/dev/null ||
    fail "nothing can be written into $(pwd); copy the project to a folder where you may write, or free some space"

# Runs a program that ends with this script: on SIGTERM a shell alone would leave it behind. It runs in the background,
# where it gets no Ctrl-C either.
attended() {
    "$@" &
    child=$!
    trap 'leave 143' TERM
    trap 'leave 130' INT
    status=0
    wait "$child" || status=$?
    trap - TERM INT
    return "$status"
}
leave() {
    kill "$child" 2>/dev/null || true
    wait "$child" || true
    [ -z "${begun:-}" ] || echo "interrupted; apt-get, if it was begun, goes on in the background: see .build/tex.log" >&2
    exit "$1"
}

# Waits until no other process has the lock, which ends with its process, however that ends.
lock() { # its file descriptor, what has it
    take() { # how
        if command -v flock >/dev/null; then
            flock $1 "$2"
        else
            ! command -v "$PYTHON" >/dev/null || "$PYTHON" -c "import fcntl; fcntl.flock($2, fcntl.LOCK_EX | bool('$1') * fcntl.LOCK_NB)" 2>/dev/null
        fi
    }
    take -n "$1" || {
        echo "Waiting for $2" >&2
        take "" "$1" || true # a Python that cannot is told of below
    }
}

# All that the PDF is made of; what renderers leave in report/ is named after the document. What the code itself fetches
# into data/ is verified whenever it is read, so that it changes no result.
sources() { # what find shall do with each
    there=
    for folder in runs data; do
        [ ! -d "$folder" ] || there="$there $folder"
    done
    find -H _quarto.yml _environment report code $there -type f \
        ! -path '*/.*' ! -path '*/__pycache__/*' ! -path '*.egg-info/*' ! -path 'report/hw2_files/*' \
        ! -path data/digits.csv.gz ! -path 'data/imagenette2-*' \
        \( ! -path 'report/hw2.*' -o -name hw2.qmd \) "$@"
}

# Writes .build/state anew, and so gives make a reason to render, where the commit, the renderer asked for, or the
# sources (names and contents) are others than when they were read for the PDF, or it is none.
state() {
    { echo "$SOURCE_DATE_EPOCH $RENDERER" && sources -exec cksum {} + | sort; } >.build/state.$$
    if cmp -s .build/state.$$ .build/state &&
        { [ ! -e report/hw2.pdf ] || [ "$(head -c 5 report/hw2.pdf)" = "%PDF-" ]; }; then
        rm .build/state.$$
    else
        mv .build/state.$$ .build/state
    fi
}

python() {
    if [ .venv/.ready -nt requirements.lock ] && [ .venv/.ready -nt pyproject.toml ]; then
        return # by the make that this one has waited for
    fi
    command -v "$PYTHON" >/dev/null || fail "no $PYTHON found; install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3"
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$PYTHON is $("$PYTHON" --version 2>&1), Python 3.11 or newer is needed; name one: make PYTHON=python3.12"
    "$PYTHON" -m venv .venv || fail "no virtual environment; on Debian or Ubuntu: apt-get install python3-venv"
    # TeX meanwhile; where it fails it says so, and again when it is needed
    if [ -n "${WITH_TEX:-}" ] && [ ! -e .build/tex ] && ! has_tinytex; then
        (tex) 9>&- &
        begun=$!
    fi
    start=$(date +%s)
    echo "Python packages: installing those of requirements.lock into .venv (with PyTorch for GPUs about 3 GB to download)"
    attended .venv/bin/python code/install.py requirements.lock ||
        fail "the Python packages could not be installed (above); once that is mended, run make again: it goes on from here"
    .venv/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
    echo "Python packages: installed in $(($(date +%s) - start)) s"
    [ -z "${begun:-}" ] || wait "$begun" || true
    touch .venv/.ready
}

tex_is_complete() {
    command -v latexmk >/dev/null && command -v lualatex >/dev/null && command -v kpsewhich >/dev/null &&
        [ "$(kpsewhich scrartcl.cls unicode-math.sty fvextra.sty microtype.sty lmroman10-regular.otf | wc -l)" -eq 5 ]
}

has_tinytex() { # which Quarto prefers, and only Quarto finds
    [ "$RENDERER" != pandoc ] && [ -n "$(installed_quarto)" ] &&
        { [ -d "${HOME:-}/.TinyTeX" ] || [ -d "${HOME:-}/Library/TinyTeX" ]; }
}

tex() {
    lock 8 "another installation of TeX in this folder"
    if ! tex_is_complete; then
        packages="texlive-luatex texlive-latex-recommended texlive-latex-extra texlive-fonts-recommended lmodern latexmk"
        root=
        [ "$(id -u)" -eq 0 ] || root="sudo -n"
        if command -v apt-get >/dev/null && $root true 2>/dev/null; then
            begin=$(date +%s)
            echo "TeX: installing with apt-get (about 250 MB to download); its output goes to .build/tex.log"
            $root apt-get update -q >.build/tex.log 2>&1 &&
                $root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages \
                    >>.build/tex.log 2>&1 </dev/null ||
                fail "apt-get could not install TeX; the end of .build/tex.log:" "$(tail -n 20 .build/tex.log)" \
                    "once that is mended, run make again, or yourself: ${root:+sudo }apt-get install $packages"
            echo "TeX: installed in $(($(date +%s) - begin)) s"
        fi
        tex_is_complete || fail "no complete TeX found (lualatex, latexmk, KOMA-Script, Latin Modern); install one:" \
            "  Debian, Ubuntu:  sudo apt-get install $packages" \
            "  Fedora:          sudo dnf install texlive-scheme-medium texlive-fvextra latexmk" \
            "  macOS:           brew install --cask mactex-no-gui" \
            "  with Quarto:     quarto install tinytex, whose bin folder has to be on PATH for anything but Quarto itself"
    fi
    touch .build/tex
} 8>.build/tex.lock

is_usable() { # 1.4 or newer
    version=$("$1" --version 2>/dev/null) && printf '1.4\n%s\n' "$version" | sort -CV
}

installed_quarto() { # the path of a usable one, or nothing
    for candidate in quarto .venv/bin/quarto; do
        if command -v "$candidate" >/dev/null && is_usable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
}

# Sets `quarto` to the same, downloaded where there is none. That is tried once; `make clean` forgets that it failed.
find_quarto() {
    quarto=$(installed_quarto)
    if [ -n "$quarto" ] || [ -e .build/no-quarto ]; then
        return
    fi
    if .venv/bin/python -c 'from urllib.request import urlopen; urlopen("https://github.com/quarto-dev/quarto-cli/releases", timeout=5)' \
        >/dev/null 2>&1 && echo "Downloading Quarto into .venv" >&2 &&
        attended .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --require-hashes \
            -r code/quarto.lock >.build/quarto.log 2>&1 && is_usable .venv/bin/quarto; then
        quarto=.venv/bin/quarto
    else
        touch .build/no-quarto
    fi
}

# Without a commit the report has neither its name nor its date. Says why.
note_a_missing_commit() {
    if ! command -v git >/dev/null; then
        reason="git is not installed"
    elif reason=$({ git ls-files --error-unmatch Makefile && git log -1; } 2>&1 >/dev/null); then
        return
    fi
    printf '%s\n' "The report names no commit, and the date of its PDF means nothing:" "$reason" >&2
}

render() {
    touch .build/reading
    note_a_missing_commit
    case "$RENDERER" in
    auto | quarto) find_quarto ;;
    pandoc) quarto= ;;
    *) fail "RENDERER=$RENDERER is unknown; use auto, quarto or pandoc" ;;
    esac
    if [ -z "$quarto" ]; then
        [ "$RENDERER" != quarto ] || fail "RENDERER=quarto, but Quarto 1.4 or newer is neither on PATH nor can it be downloaded"
        [ -e .build/tex ] || tex
        # LuaTeX keeps fonts below HOME, and fails where it cannot
        [ -w "${HOME:-/nonexistent}" ] || export TEXMFVAR="$(pwd)/.build/texmf-var"
        echo "Renderer: qmdpdf with pandoc $(.venv/bin/python -c 'import pypandoc; print(pypandoc.get_pandoc_version())')"
        set -- report code requirements.lock _quarto.yml _environment
        for source in runs data/*; do
            case $source in
            data/digits.csv.gz | data/imagenette2-*) ;; # as in `sources`
            *) [ ! -e "$source" ] || set -- "$@" "$source" ;;
            esac
        done
        exec .venv/bin/python -m qmdpdf report/hw2.qmd --reuse .build/results --depends "$@"
    fi
    # Quarto prefers its own TinyTeX; where that is missing it takes the TeX of the system
    [ -e .build/tex ] || has_tinytex || tex
    echo "Renderer: Quarto $("$quarto" --version) ($quarto)"
    # Quarto leaves unknown references in the text, so its PDF is checked here
    [ ! -e report/hw2.pdf ] || cp -p report/hw2.pdf .build/previous.pdf
    if ! { attended "$quarto" render report/hw2.qmd && .venv/bin/python -m hw2 inspect report/hw2.pdf; }; then
        rm -f report/hw2.pdf
        [ ! -e .build/previous.pdf ] || cp -p .build/previous.pdf report/hw2.pdf
        exit 1
    fi
}

case "$1" in
python | render)
    exec 9>.build/lock
    lock 9 "another make in this folder"
    ;;
esac
"$1"
