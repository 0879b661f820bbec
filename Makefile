# What people type. Each target only strings commands together; the work is in scripts/, playbooks/ and tests/.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

ARGS ?=

.PHONY: help functional functional-shell functional-stop

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

functional:  ## functional tests in a kept container: make functional ARGS="tests/functional/test_ovs.py -k x"
	@scripts/functional $(ARGS)

functional-shell:  ## a shell in that container (or one command: ARGS="ovs-vsctl show")
	@scripts/functional --shell $(ARGS)

functional-stop:  ## remove that container
	@scripts/functional --stop
