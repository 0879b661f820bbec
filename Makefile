# What people type. Each target only strings commands together; the work is in scripts/, playbooks/, tests/ and bench/.
# ARGS goes to the command behind the target: make functional ARGS="tests/functional/test_ovs.py -k x"
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

CACHE := $(or $(HEADWORKS_CACHE),$(HOME)/.cache/headworks)
GUEST_IMAGE := $(CACHE)/nano.qcow2
ARGS ?=
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# One lab, one store, one .venv: targets that are given together run one after the other.
.NOTPARALLEL:

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- running -----------------------------------------------------------------------------------------------------------

.PHONY: demo bootstrap bootstrap-dev node-images guest-image lab lab-down clean
demo:  ## everything, from a fresh Debian 12 to guests that talk (as root)
	@scripts/demo $(ARGS)

bootstrap:  ## Debian packages that are missing, and .venv
	@scripts/bootstrap demo

bootstrap-dev:  ## the same with the tools for testing
	@scripts/bootstrap dev

node-images: bootstrap  ## images of the lab's nodes
	@scripts/node-image bare && scripts/node-image warm

guest-image: bootstrap  ## the guest image "nano"
	@images/nano/build $(GUEST_IMAGE)

lab: bootstrap  ## start the lab, or make it as the inventory says
	@scripts/node-image warm && ansible-playbook playbooks/lab-up.yml $(ARGS)

lab-down:  ## remove the lab; the caches stay
	@if [ -x .venv/bin/ansible-playbook ]; then ansible-playbook playbooks/lab-down.yml $(ARGS); fi

clean:  ## remove all that runs and all that is left on this machine, except the caches
	@scripts/clean

.PHONY: distclean
distclean: clean  ## the caches and .venv as well
	@rm -rf --one-file-system $(CACHE) .venv .mypy_cache .ruff_cache .pytest_cache plugins/module_utils/*.egg-info

# --- testing -----------------------------------------------------------------------------------------------------------

.PHONY: test test-lint test-unit test-functional test-cloud
test:  ## what CI runs: lint, unit, functional and cloud tests
	@start=$$(date +%s)
	scripts/stage "Packages of this machine and .venv" scripts/bootstrap dev
	for target in test-lint test-unit test-functional test-cloud; do
	    scripts/stage "$$target" $(MAKE) --no-print-directory $$target
	done
	printf '\nmake test: all well, %d s\n' $$(($$(date +%s) - start))

test-lint: bootstrap-dev  ## ruff, mypy, import-linter, ansible-lint
	@ruff check .
	lint-imports
	mypy plugins/module_utils/headworks library
	mypy $(wildcard plugins/action plugins/callback plugins/filter plugins/inventory)
	ansible-lint

test-unit: bootstrap-dev  ## pure tests: fast, no root
	@python -m pytest tests/unit $(ARGS)

test-functional: bootstrap-dev  ## tests against the real daemons, in a container of their own
	@scripts/functional --once tests/functional $(ARGS)

test-cloud: bootstrap-dev guest-image  ## the whole cloud in a lab of its own: molecule, then tests/cloud
	@if [ -f molecule/default/molecule.yml ]; then molecule test --scenario-name default; fi
	python -m pytest -v --durations=10 tests/cloud $(ARGS)

.PHONY: test-guest
test-guest: bootstrap-dev guest-image  ## the guest image booted in every way it may be (not part of make test)
	@HEADWORKS_NANO_IMAGE=$(GUEST_IMAGE) scripts/functional --once tests/functional/test_nano_image.py $(ARGS)

.PHONY: functional functional-shell functional-stop
functional:  ## functional tests in a kept container: make functional ARGS="tests/functional/test_ovs.py -k x"
	@scripts/functional $(ARGS)

functional-shell:  ## a shell in that container (or one command: ARGS="ovs-vsctl show")
	@scripts/functional --shell $(ARGS)

functional-stop:  ## remove that container
	@scripts/functional --stop

# --- measuring ---------------------------------------------------------------------------------------------------------

.PHONY: bench
bench: bootstrap-dev  ## the benches, in a container of their own: make bench ARGS="router --rounds 3"
	@scripts/bench $(ARGS)
