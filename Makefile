# The index of all work on this project. `make test` is what .ci/run runs.
CARGO ?= cargo
PREFIX ?= /usr
DESTDIR ?=

.PHONY: all check test test-fast bench figures clean
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
	benches/bootstrap.sh

include packaging/install.mk
