# Every verb sets up what it needs, once; `make help` lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
RENDERER ?= auto
ONLY ?=
STORAGE ?=
TRIALS ?=
DRAFT ?=
PY := .venv/bin/python
SETUP := sh code/setup.sh
# one commit, one PDF: the dates in it are the commit's
export SOURCE_DATE_EPOCH := $(shell git log -1 --format=%ct 2>/dev/null || echo 1500000000)
export PYTHON RENDERER

SOURCES := _quarto.yml _environment $(shell find report code -type f \
	\( -name '*.qmd' -o -name '*.bib' -o -name '*.tex' -o -name '*.py' -o -name '*.lua' -o -name '*.mplstyle' \) \
	-not -name 'hw2.tex' -not -path '*/.*') $(shell find runs -type f -not -name '.*' 2>/dev/null)

.PHONY: help pdf verify test experiments audit search bench submission lint tex lock clean
help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

pdf: report/hw2.pdf ## render report/hw2.pdf (RENDERER=quarto or pandoc forces one of the two)

verify: .venv/.ready ## check every derivation and refute its wrong versions (ONLY=q6 for one part)
	@$(PY) -m hw2 verify --only "$(ONLY)"

test: lint .build/tex ## run the tests, a file at a time on each core
	@$(PY) -m pytest -n logical --dist loadfile --no-loadscope-reorder

experiments: .venv/.ready ## train what has no recorded run or a stale one (ONLY=magic for one task); it goes on after a kill
	@$(PY) -m hw2 run $(ONLY)

audit: .venv/.ready ## check the recorded runs and evaluate their weights again (ONLY=magic for one task)
	@$(PY) -m hw2 audit $(ONLY)

search: .venv/.ready ## search the hyper-parameters of Task 2 (STORAGE=file or URL, shared by workers; TRIALS=100)
	@$(PY) -m hw2 search $(if $(STORAGE),--storage "$(STORAGE)") $(if $(TRIALS),--trials "$(TRIALS)")

bench: .venv/.ready ## measure the speed of Task 3 on this machine, ours and the usual ways, and record it
	@$(PY) -m hw2 bench

submission: report/hw2.pdf ## write dist/ece046211_hw2_<id1>_<id2>.zip: notebook and PDF (DRAFT=1 accepts any ID)
	@$(PY) -m hw2 submission $(if $(DRAFT),--draft) report/hw2.pdf

lint: .venv/.ready ## check style and format of the code
	@.venv/bin/ruff check code tests
	@.venv/bin/ruff format --check code tests

tex: .build/tex ## install TeX where it is missing and can be installed

lock: ## pin the newest versions that pyproject.toml allows (needs uv)
	@command -v uv >/dev/null || { echo "error: uv not found; install it: pip install uv" >&2; exit 1; }
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
		-o requirements.lock pyproject.toml

clean: ## remove the environment, the build files and the PDF
	rm -rf .venv .build report/hw2.pdf

report/hw2.pdf: $(SOURCES) .venv/.ready .build/state
	@$(SETUP) render

.venv/.ready: requirements.lock pyproject.toml
	@$(SETUP) python

.build/tex: code/setup.sh
	@$(SETUP) tex

# rewritten, and so a reason to render, only when the commit or the renderer asked for has changed
.build/state: FORCE
	@mkdir -p .build; echo "$(SOURCE_DATE_EPOCH) $(RENDERER)" | cmp -s - $@ || echo "$(SOURCE_DATE_EPOCH) $(RENDERER)" > $@
FORCE:
