# The commands of this house. `make check` is what CI runs.
.PHONY: run test check client fmt

run: # the sandbox (PostgreSQL is installed when it is missing)
	scripts/run

test: # all tests
	scripts/test

check: # formatting, tests, lints, documentation, the sandbox once
	.ci/run

client: # the independent client against a sandbox of its own
	scripts/client

fmt: # formatting, written
	cargo fmt
