# Everything a fresh machine needs is Python 3.11 or newer, with venv, and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?= -n auto
FUZZ_SECONDS ?= 60
MUTATIONS ?= 3000
FUZZ_TARGET ?= $(patsubst tests/fuzz/fuzz_%.py,%,$(sort $(wildcard tests/fuzz/fuzz_*.py)))
# tests/conftest.py describes the profiles.
HYPOTHESIS_PROFILE ?= $(if $(CI),ci,loaded)

.PHONY: help demo boot test lint types check-tools fuzz mutations bench micro docs clean

help:
	@echo 'make demo   pack a three-layer image out of real files, list it, say where it is'
	@echo 'make boot   pack a container image, and boot it in a virtual machine'
	@echo 'make test   lint, types and all tests; installs what they need'
	@echo 'make fuzz   look for inputs that something stumbles over, FUZZ_SECONDS for each of $(FUZZ_TARGET);'
	@echo '            FUZZ_TARGET=image for one of them'
	@echo 'make mutations  compare check and reader with kernel and unsquashfs on $(MUTATIONS) changed images; as root on Linux'
	@echo 'make bench  time pysquash beside the C tools, into benchmarks/RESULTS.md; BENCH_ARGS="--runs 1 growth" for less'
	@echo 'make micro  time the parts of pysquash one by one'
	@echo 'make docs   make docs/format.md, rules.md and compat.md, and format/packed_formats.py, out of the declarations'
	@echo 'make clean  remove what the others made'

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Python 3.11 or newer is needed: make PYTHON=python3.12'; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo 'the venv module is missing; on Debian: apt install python3-venv'; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/developing: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(VENV)/installed
	$(BIN)/python examples/three_layers.py demo
	$(BIN)/pysquash build demo/1-base.tar.gz demo/2-upper.tar.gz demo/3-top.tar.gz -o demo/root.squashfs
	$(BIN)/pysquash ls -l demo/root.squashfs > demo/root.list
	@head -n 12 demo/root.list
	@echo "... $$(wc -l < demo/root.list) names in all, in demo/root.list"
	@echo 'The image is demo/root.squashfs. To look inside: $(BIN)/pysquash ls -l demo/root.squashfs'
	@echo 'or, as root on Linux: mount -t squashfs -o loop,ro demo/root.squashfs /mnt'

boot: $(VENV)/installed
	@$(BIN)/python examples/boot.py --folder demo/boot

# Its tests are skipped where it cannot be built.
$(VENV)/liblzo: $(VENV)/developing | check-tools
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[liblzo]' && touch $@ \
		|| echo 'not installed: python-lzo, which needs liblzo2-dev and a C compiler; its tests are skipped'

check-tools:
	@.ci/install-tools

lint: $(VENV)/developing
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/developing
	$(BIN)/mypy

test: $(VENV)/developing $(VENV)/liblzo check-tools lint types
	HYPOTHESIS_PROFILE=$(HYPOTHESIS_PROFILE) $(BIN)/python -m pytest $(PYTEST_ARGS)

$(VENV)/fuzzing: $(VENV)/developing
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,fuzz]'
	@touch $@

# What was found to lead somewhere new is kept, and is where the next run begins.
fuzz: $(FUZZ_TARGET:%=fuzz-%)

fuzz-%: $(VENV)/fuzzing
	@mkdir -p build/fuzz/$*
	$(BIN)/python -m tests.fuzz.fuzz_$* build/fuzz/$*/corpus -artifact_prefix=build/fuzz/$*/ -max_total_time=$(FUZZ_SECONDS)

# Each disagreement is printed with its seed; the images are kept.
mutations: $(VENV)/developing check-tools
	$(BIN)/python -m tests.fuzz.judged_mutations --count $(MUTATIONS) --keep build/mutations

bench: $(VENV)/developing check-tools
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

micro: $(VENV)/developing
	$(BIN)/python -m pytest benchmarks/micro --benchmark-enable --benchmark-only $(MICRO_ARGS)

docs: $(VENV)/developing
	$(BIN)/python docs/packed_formats.py
	$(BIN)/python docs/architecture_page.py
	$(BIN)/python docs/format_page.py
	$(BIN)/python docs/rules_page.py
	$(BIN)/python docs/compat_page.py

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
