# Every verb sets up what it needs, once; `make help` lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
RENDERER ?= auto
ONLY ?=
# of a variable that is on or off: what it is, unless that means off
yes = $(filter-out 0 no No NO off false False FALSE,$(1))
ANEW ?=
STORAGE ?=
TRIALS ?=
DRAFT ?=
DRAWS ?=
WHOLE ?=
REPRODUCE ?=
FULL ?=
COUNT ?= 100
PY := .venv/bin/python
SETUP := sh code/setup.sh
# one commit, one PDF: the dates in it are the commit's (of a repository that has this file, not of any around it)
export SOURCE_DATE_EPOCH := $(shell \
	git ls-files --error-unmatch Makefile >/dev/null 2>&1 && git log -1 --format=%ct 2>/dev/null || echo 1500000000)
export PYTHON RENDERER
# in the plain C locale no path with other letters could be written down
ifneq ($(shell locale charmap 2>/dev/null),UTF-8)
export LC_ALL := C.UTF-8
endif
# where this is set, each process would compile the libraries anew, which takes longer than most of what it is for
unexport PYTHONDONTWRITEBYTECODE
# without assertions nothing would guard the words of the report; figures go into it, not into windows, and warnings nowhere
unexport PYTHONOPTIMIZE PYTHONWARNINGS MPLBACKEND
# TeX is installed while the Python packages are
pdf test submission report/hw2.pdf: export WITH_TEX := yes

.PHONY: help pdf verify seal test test-oldest mutants experiments audit search bench submission lint tex lock clean
help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

pdf: report/hw2.pdf ## render report/hw2.pdf (RENDERER=quarto or pandoc forces one of the two)
	@echo "report/hw2.pdf is what its sources give"

verify: .venv/.ready ## check every derivation and refute its wrong versions (ONLY=q6 for one part; ANEW=1 also what is known)
	@$(PY) -m hw2 verify --only "$(ONLY)" $(if $(call yes,$(ANEW)),--anew)

seal: .venv/.ready ## keep the wordings that no program checks (of theorems, say) as they are now, and show what has changed
	@$(PY) -m hw2 seal

test: lint .build/tex ## run the tests, a file at a time on each core
	@$(PY) -m pytest -n logical --dist loadfile --no-loadscope-reorder

experiments: .venv/.ready ## train what has no recorded run or a stale one (ONLY=magic for one task); it goes on after a kill
	@$(PY) -m hw2 run $(ONLY)

audit: .venv/.ready ## evaluate the recorded weights again (ONLY=magic for one task, DRAWS=0 without noise, WHOLE=1 with all of it, REPRODUCE=1 also trains one seed of those that have some)
	@$(PY) -m hw2 audit $(ONLY) $(if $(DRAWS),--draws "$(DRAWS)") $(if $(call yes,$(WHOLE)),--whole) $(if $(call yes,$(REPRODUCE)),--reproduce)

search: .venv/.ready ## search the hyper-parameters of Task 2 (STORAGE=file or URL, shared by workers; TRIALS=100)
	@$(PY) -m hw2 search $(if $(STORAGE),--storage "$(STORAGE)") $(if $(TRIALS),--trials "$(TRIALS)")

bench: .venv/.ready ## measure the speed of Task 3 on this machine, ours and the usual ways, and record it
	@$(PY) -m hw2 bench

submission: .venv/.ready ## write dist/ece046211_hw2_<id1>_<id2>.zip: notebook and PDF (DRAFT=1 accepts any ID; FULL=1 trains with the long recipes and all seeds)
	@$(PY) -m hw2 submission $(if $(call yes,$(DRAFT)),--draft) $(if $(call yes,$(FULL)),--full)
	@$(MAKE) --no-print-directory report/hw2.pdf
	@$(PY) -m hw2 submission $(if $(call yes,$(DRAFT)),--draft) $(if $(call yes,$(FULL)),--full) report/hw2.pdf

test-oldest: .venv/.ready ## test the notebook with the oldest versions that pyproject.toml allows, in .build/oldest
	@$(PY) code/oldest.py

mutants: .venv/.ready ## plant COUNT=100 random errors in the package, one at a time, and see whether its tests notice (hours; ONLY=tasks for a part)
	@$(PY) code/mutants.py --count "$(COUNT)" --only "$(ONLY)"

lint: .venv/.ready ## check style, format and types of the code
	@.venv/bin/ruff check code tests
	@.venv/bin/ruff format --check code tests
	@.venv/bin/mypy

tex: .build/tex ## install TeX where it is missing and can be installed

lock: .venv/.ready ## pin the newest versions that pyproject.toml allows
	@$(PY) -m pip install --disable-pip-version-check --quiet --require-hashes -r code/uv.lock
	@$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-strip-extras \
		--upgrade -o requirements.lock pyproject.toml

clean: ## remove the environment, the build files and the PDF
	rm -rf .venv .build report/hw2.pdf

report/hw2.pdf: .build/state .venv/.ready
	@$(SETUP) render
	@touch -r .build/reading $@ # as new as the moment of reading: what was saved since then counts

.venv/.ready: requirements.lock pyproject.toml
	@$(SETUP) python

.build/tex: code/setup.sh
	@$(SETUP) tex

# rewritten, and so a reason to render, only when something has changed that the PDF is made of
.build/state: FORCE
	@$(SETUP) state
FORCE:
