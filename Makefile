# `make demo` tries moodwire, `make device` sets up a device, `make test` runs all tests; each has its own environment.

PYTHON ?= python3
FOR ?= 0
WAV ?= samples
MIC ?=
FLEET ?= 0
DATA ?= data
API_PORT ?= 8080
LIVE_PORT ?= 8082
DASHBOARD_PORT ?= 8050
MQTT_PORT ?= 18830
# Two tests at a time, a file's in one process: most wait for a service.
TWO = --numprocesses 2 --dist loadfile

.PHONY: demo device test test-fast check coverage format train lock clean

demo: .venv/ready
	@.venv/bin/moodwire demo --for-s $(FOR) --data-dir "$(DATA)" --wav "$(WAV)" $(if $(MIC),--mic) --fleet $(FLEET) \
		--api-port $(API_PORT) --live-port $(LIVE_PORT) --dashboard-port $(DASHBOARD_PORT) --mqtt-port $(MQTT_PORT)

test: system-packages check axe.min.js
	.venv-test/bin/pytest $(TWO)

# Deque's axe-core, which a test runs in the page; without npm that test is skipped.
.PHONY: axe.min.js
axe.min.js: .venv-test/ready
	@[ -e .venv-test/axe.min.js ] || ! command -v npm >/dev/null || { \
		dir=$$(mktemp -d) && npm pack --silent --pack-destination "$$dir" axe-core@4.10.3 >/dev/null && \
		tar -xzf "$$dir"/axe-core-4.10.3.tgz -C "$$dir" package/axe.min.js && \
		echo "880970c081707360e64f34cea25ff91892f5bc95675b0776925b9709dd8a68bb  $$dir/package/axe.min.js" \
			| sha256sum --check --quiet && \
		mv "$$dir/package/axe.min.js" .venv-test/ && rm -r "$$dir"; }

# The quick tests, for use before a commit: no browser, no sound server, no test that takes seconds.
test-fast: .venv-test/ready
	.venv-test/bin/pytest $(TWO) -m "not slow and not browser and not audio"

# The same commands as the hook of .pre-commit-config.yaml.
check: .venv-test/ready
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy
	.venv-test/bin/codespell
	@if command -v npx >/dev/null; then npx --yes --package typescript@5.9.3 tsc --project . ; \
		else echo "No npx here: the types of the page's scripts are not checked. Install node to check them."; fi

# Branch coverage of all tests, child processes included; CONTRIBUTING.md says what is not covered.
coverage: system-packages .venv-test/ready
	.venv-test/bin/coverage erase
	.venv-test/bin/coverage run -m pytest $(TWO)
	.venv-test/bin/coverage combine --quiet
	.venv-test/bin/coverage report

format: .venv-test/ready
	.venv-test/bin/ruff check --fix .
	.venv-test/bin/ruff format .

# Trains the default recipe on CREMA-D; see docs/training.md.
train: .venv-test/ready
	.venv-test/bin/moodwire train

# Installs what the tests need beyond Python; without apt or root it says what is missing.
.PHONY: system-packages
system-packages:
	@sh tests/system-packages.sh

# The environment of a Raspberry Pi; `moodwire device install` then makes a service.
device: .venv-device/ready
	@.venv-device/bin/python -m compileall -q moodwire.py broker common device models # the service may not write here

# The demo's environment has no TensorFlow, the device's is smaller still, the tests' has everything.
.venv/ready: locks/demo.txt pyproject.toml
	$(call install,.venv,demo,14,moodwire needs Python 3.11 to 3.14)

.venv-device/ready: locks/device.txt pyproject.toml
	$(call install,.venv-device,device,14,moodwire needs Python 3.11 to 3.14)

.venv-test/ready: locks/dev.txt pyproject.toml
	$(call install,.venv-test,dev,13,TensorFlow and so training and tests need Python 3.11 to 3.13)

# $(call install,ENVIRONMENT,LOCK,newest minor version of Python 3,error for any other version)
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

# Locks the newest versions that pyproject.toml allows. The small locks are subsets of the large one.
lock: .venv-test/ready
	.venv-test/bin/python -m pip install --quiet uv
	$(call compile,dev)
	$(call compile,demo,-c locks/dev.txt)
	$(call compile,device,-c locks/dev.txt)
	$(call compile,export,-c locks/dev.txt)
	$(call compile,teacher,-c locks/dev.txt --no-deps)

define compile
	.venv-test/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 $(2) --extra $(1) pyproject.toml -o locks/$(1).txt
endef

clean:
	rm -rf .venv .venv-device .venv-test build *.egg-info
