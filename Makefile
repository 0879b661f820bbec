# The commands for people. A target only runs other commands; the work is in scripts/, playbooks/, tests/ and bench/.
# ARGS is passed to the command of the target: make functional ARGS="tests/functional/test_ovs.py -k x"
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

CACHE := $(or $(HEADWORKS_CACHE),$(HOME)/.cache/headworks)
GUEST_IMAGE := $(CACHE)/nano.qcow2
ARGS ?=
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Targets share a lab, a store and .venv, so targets of one command line run in sequence.
.NOTPARALLEL:

.PHONY: help
help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- running -----------------------------------------------------------------------------------------------------------

.PHONY: demo bootstrap bootstrap-dev node-images guest-image lab lab-down clean
demo:  ## set up everything on a fresh Debian 12, up to running guests, and check it (as root)
	@scripts/demo $(ARGS)

bootstrap:  ## install missing Debian packages, and .venv
	@scripts/bootstrap demo

bootstrap-dev:  ## the same, with the tools for testing
	@scripts/bootstrap dev

node-images: bootstrap  ## build the images of the lab's nodes
	@scripts/node-image bare && scripts/node-image warm

guest-image: bootstrap  ## build the guest image "nano"
	@images/nano/build $(GUEST_IMAGE)

lab: bootstrap  ## start the lab, or change it to match the inventory
	@scripts/node-image warm && ansible-playbook playbooks/lab-up.yml $(ARGS)

lab-down:  ## remove the lab; the caches stay
	@if [ -x .venv/bin/ansible-playbook ]; then ansible-playbook playbooks/lab-down.yml $(ARGS); fi

.PHONY: bootstrap-machines machine-image lab-machines lab-machines-down
bootstrap-machines: bootstrap  ## install what the machine lab needs in addition
	@scripts/bootstrap machines

machine-image: bootstrap-machines  ## build the disk of the machine lab's machines
	@scripts/machine-image

lab-machines: bootstrap-machines  ## start the machine lab (QEMU machines with their own kernel), or change it
	@ansible-playbook -i inventory/lab-machines playbooks/machines-up.yml $(ARGS)

lab-machines-down:  ## remove the machine lab; the caches stay
	@if [ -x .venv/bin/ansible-playbook ]; then ansible-playbook -i inventory/lab-machines playbooks/machines-down.yml $(ARGS); fi

clean:  ## remove every lab and test container, and their traces on this machine; the caches stay
	@scripts/clean

.PHONY: distclean
distclean: clean  ## remove the caches and .venv as well
	@rm -rf --one-file-system $(CACHE) .venv .mypy_cache .ruff_cache .pytest_cache plugins/module_utils/*.egg-info

# --- testing -----------------------------------------------------------------------------------------------------------

.PHONY: test test-all test-lint test-unit test-functional test-cloud test-safety test-safety-smoke
test: STAGES := test-lint test-unit test-functional test-cloud test-safety-smoke
test:  ## run what CI runs: lint, unit, functional and cloud tests, and some of the safety tests
test-all: STAGES := test-lint test-unit test-functional test-cloud test-safety test-guest test-machines
test-all:  ## run every test
test test-all:
	@start=$$(date +%s)
	scripts/stage "Packages of this machine and .venv" scripts/bootstrap dev
	for target in $(STAGES); do
	    scripts/stage "$$target" $(MAKE) --no-print-directory $$target
	done
	printf '\nmake $@: all tests passed in %d s\n' $$(($$(date +%s) - start))

test-lint: bootstrap-dev  ## run ruff, mypy, import-linter and ansible-lint
	@ruff check .
	lint-imports
	mypy plugins/module_utils/headworks library
	mypy $(wildcard plugins/action plugins/callback plugins/filter plugins/inventory)
	ansible-lint

test-unit: bootstrap-dev  ## run the unit tests: fast, without root
	@python -m pytest tests/unit $(ARGS)

test-functional: bootstrap-dev  ## run the tests against the real daemons, in a new container
	@scripts/functional --once tests/functional $(ARGS)

test-cloud: bootstrap-dev guest-image  ## test a whole cloud in separate labs: molecule, then tests/cloud
	@if [ -f molecule/default/molecule.yml ]; then molecule test --scenario-name default; fi
	python -m pytest -v --durations=10 tests/cloud $(ARGS)

test-safety: bootstrap-dev guest-image  ## test slips and faults on real nodes, in a lab of their own (docs/safety.md)
	@scripts/node-image warm >/dev/null
	python -m pytest -v --durations=10 tests/safety $(ARGS)

test-safety-smoke: bootstrap-dev guest-image  ## run the few safety tests that are part of make test
	@scripts/node-image warm >/dev/null
	python -m pytest -v --durations=5 -m smoke tests/safety $(ARGS)

.PHONY: test-machines
test-machines: bootstrap-dev bootstrap-machines  ## test nodes with a kernel of their own, in the machine lab (not part of make test)
	@scripts/machine-image >/dev/null
	python -m pytest -v --durations=10 tests/machines $(ARGS)

.PHONY: test-guest
test-guest: bootstrap-dev guest-image  ## boot the guest image in every supported way (not part of make test)
	@HEADWORKS_NANO_IMAGE=$(GUEST_IMAGE) scripts/functional --once tests/functional/test_nano_image.py $(ARGS)

.PHONY: functional functional-shell functional-stop
functional:  ## run functional tests in a persistent container: ARGS="tests/functional/test_ovs.py -k x"
	@scripts/functional $(ARGS)

functional-shell:  ## open a shell in that container (or run a command: ARGS="ovs-vsctl show")
	@scripts/functional --shell $(ARGS)

functional-stop:  ## remove that container
	@scripts/functional --stop

# --- measuring ---------------------------------------------------------------------------------------------------------

.PHONY: bench
bench: bootstrap-dev  ## run the benches, each in a new container: make bench ARGS="router --rounds 3"
	@scripts/bench $(ARGS)
