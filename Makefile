# Two commands matter: `make run` and `make test`. Each does all of its own set-up.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
export WEIR_HOME ?= $(CURDIR)/.weir
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)

.PHONY: help setup setup-run run test test-faults conformance lint build bench clean

help: ## Says what there is
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Installs and fetches what is missing: packages, the ClickHouse engine, AS data, and Kafka and Python's packages for tests
	@scripts/setup.sh

setup-run:
	@scripts/setup.sh run

build: setup-run ## Builds everything that runs, with the pages where Node is there
	@scripts/build-web.sh
	cargo build --release --locked -p weir -p weir-loadtest

run: build ## Starts the path with generated traffic (DEMO=0: without) until Ctrl-C
	@scripts/run.sh

test: setup ## Everything that CI runs, with real Kafka and ClickHouse engine
	@scripts/test.sh

test-faults: setup ## All faults: their tests, and load tests that break the stack in every way (about an hour)
	@scripts/test-faults.sh

conformance: ## Captures against what others make of them, tshark too; makes docs/conformance.md
	@scripts/conformance.sh

lint: setup ## Formatting, clippy, dependency rules, licences
	@scripts/lint.sh

bench: setup build ## Benchmarks
	cargo bench --locked -p weir-schemas -p weir-wire -p weir-ingest -p weir-decoder -p weir-sink --benches
	scripts/bench-idle.sh
	scripts/bench-wire.sh

clean: ## Removes what was built and fetched, and all data of `make run`, stored flows too
	rm -rf services/web/{node_modules,dist}
	rm -rf "$(TARGET)" "$(WEIR_HOME)"/{kafka,engine,asn,geo,python,contract,data}
