# The index of all work on this project. `make test` is what .ci/run runs.
CARGO ?= cargo
PREFIX ?= /usr
DESTDIR ?=

.PHONY: all check test test-fast bench soak figures
all:
	$(CARGO) build --release --locked

# The main job on this machine: no root, no cluster.
check:
	$(CARGO) run --release --locked -- check

# Format, lints, unit, case and integration tests, and the end-to-end tests against real servers.
test:
	tests/run.sh

# What a change is tried with while it is made: no servers, no guests.
test-fast:
	tests/run.sh format clippy cargo

bench:
	benches/bootstrap.sh 1000
	benches/watch.sh 600
	benches/growth.sh 120
	benches/journal.sh 600
	tests/e2e/act/latency.sh 200
	tests/e2e/act/requests.sh 60

# Full lengths: ten times the random kills, the matrix, half an hour of healthy work, and the guest's own cases with the older kubelet too.
soak: export NODE_STEWARD ?= $(CURDIR)/target/release/node-steward
soak:
	cargo build --release --locked
	FAULTS_RANDOM_KILLS=600 tests/run.sh faults
	tests/run.sh matrix
	tests/healthy/run.sh 30
	tests/e2e/disk/saturation.sh --full
	tests/e2e/disk/hang.sh
	NODE_STEWARD="$$(packaging/static.sh)" tests/e2e/disk/hang.sh
	tests/e2e/act/memory.sh 360
	tests/e2e/act/client-memory.sh
	tests/e2e/act/fleet.sh 200
	tests/e2e/act/older.sh --full
	tests/e2e/vm/kubelet-verdict.sh --check tests/e2e/vm/cases
	tests/e2e/vm/kubelet-verdict.sh --old --check tests/e2e/vm/cases

# Writes the README's figures anew.
figures:
	benches/figures.sh

include packaging/install.mk
