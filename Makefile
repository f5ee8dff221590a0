# moodwire: `make demo` tries it, `make device` sets up a device, `make test` tests it; each has an environment of its own.

PYTHON ?= python3
FOR ?= 0
WAV ?= samples
MIC ?=
DATA ?= data
API_PORT ?= 8080
LIVE_PORT ?= 8082
DASHBOARD_PORT ?= 8050
MQTT_PORT ?= 18830

.PHONY: demo device test test-fast check coverage format train lock clean

demo: .venv/ready
	@.venv/bin/moodwire demo --for-s $(FOR) --data-dir "$(DATA)" --wav "$(WAV)" $(if $(MIC),--mic) \
		--api-port $(API_PORT) --live-port $(LIVE_PORT) --dashboard-port $(DASHBOARD_PORT) --mqtt-port $(MQTT_PORT)

test: system-packages check
	.venv-test/bin/pytest

# What a change needs before it is committed: no browser, no sound server, nothing that takes seconds by itself.
test-fast: .venv-test/ready
	.venv-test/bin/pytest -m "not slow and not browser and not audio"

# The same commands as the hook of .pre-commit-config.yaml.
check: .venv-test/ready
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy
	.venv-test/bin/codespell

# Branch coverage of all tests, those in other processes included; CONTRIBUTING.md says what is left uncovered.
coverage: system-packages .venv-test/ready
	.venv-test/bin/coverage erase
	.venv-test/bin/coverage run -m pytest
	.venv-test/bin/coverage combine --quiet
	.venv-test/bin/coverage report

format: .venv-test/ready
	.venv-test/bin/ruff check --fix .
	.venv-test/bin/ruff format .

# Trains the default recipe on CREMA-D; docs/training.md tells more.
train: .venv-test/ready
	.venv-test/bin/moodwire train

# What the tests use beyond Python; a machine without apt, or a user who may not, is told what is missing.
.PHONY: system-packages
system-packages:
	@sh tests/system-packages.sh

# What a Raspberry Pi runs; `moodwire device install` makes a service of it.
device: .venv-device/ready
	@.venv-device/bin/python -m compileall -q moodwire.py broker common device models # the service may not write here

# The demo's environment has no TensorFlow, the device's is smaller still; the tests' has everything.
.venv/ready: locks/demo.txt pyproject.toml
	$(call install,.venv,demo,14,moodwire needs Python 3.11 to 3.14)

.venv-device/ready: locks/device.txt pyproject.toml
	$(call install,.venv-device,device,14,moodwire needs Python 3.11 to 3.14)

.venv-test/ready: locks/dev.txt pyproject.toml
	$(call install,.venv-test,dev,13,TensorFlow and so training and tests need Python 3.11 to 3.13)

# Environment, lock, newest minor version of Python 3, and what to say to another one.
define install
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $(3)) and \
		"$(4), this is " + sys.version.split()[0] + "; make PYTHON=python3.13 names another")'
	@echo "Setting up $(1); this takes a minute or two the first time."
	@start=$$(date +%s); [ -t 1 ] && end='\r' || end='\n'; $(PYTHON) -m venv $(1) && \
		{ $(1)/bin/python -m pip install --progress-bar off --disable-pip-version-check --require-hashes \
			-r locks/$(2).txt; echo "exit $$?"; } | awk -v end="$$end" -v all=$$(grep -oE '^[a-z0-9-]+==' locks/$(2).txt | sort -u | wc -l) ' \
			/^(Collecting|Processing) / { sub(".*/", "", $$2); printf "  %d of %d packages: %-60.60s" end, ++n, all, $$2; fflush() } \
			/^Installing/ { printf "  unpacking them %-70s\n", ""; fflush() } \
			/^exit/ { exit $$2 }' && \
		$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable . && \
		echo "Set up $(1) in $$(($$(date +%s) - start)) s."
	@touch $@
endef

# Takes the newest versions that pyproject.toml allows. One set for everyone: the small locks are subsets of the large.
lock: .venv-test/ready
	.venv-test/bin/python -m pip install --quiet uv
	$(call compile,dev)
	$(call compile,demo,-c locks/dev.txt)
	$(call compile,device,-c locks/dev.txt)

define compile
	.venv-test/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 $(2) --extra $(1) pyproject.toml -o locks/$(1).txt
endef

clean:
	rm -rf .venv .venv-device .venv-test build *.egg-info
