# Builds and runs everything, on a fresh Debian 12, Debian 13 or Ubuntu machine too, given Rust from rustup.

CARGO ?= cargo
RUSTDOCFLAGS ?= -D warnings
export RUSTDOCFLAGS

# Given to the comparison, as in: make bench-peer COMPARE="--only L3T3 --repeat 5"
COMPARE ?=

.PHONY: help setup demo test bless bench bench-peer lint doc ci clean

help: ## Lists the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: ## Installs what the build needs of the system: a C compiler and nasm
	@./.ci/setup

demo: setup ## Codes nine decode targets at once, decodes each, writes target/demo/L3T3.png
	$(CARGO) run --release --locked --example demo

test: setup ## Runs all tests, doctests and the README's examples too
	$(CARGO) test --locked

bless: setup ## Writes test-vectors anew after the coder was changed on purpose
	LAYERCAST_BLESS=1 $(CARGO) test --locked --test vectors

bench: setup ## Measures packets, decisions, and the coder beside rav1e's; writes target/bench
	$(CARGO) bench --locked --bench packets --bench select --bench encode
	$(CARGO) bench --locked --bench compare -- $(COMPARE)

bench-peer: ## The same comparison beside libaom's real-time mode too, which it builds
	@./.ci/setup peer
	$(CARGO) bench --locked --features peer-libaom --bench compare -- $(COMPARE)

lint: setup ## Checks the formatting, and clippy with each set of features
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets --no-default-features -- -D warnings
	for feature in encoder decoder rtp e2ee select simulate; do \
		$(CARGO) clippy --locked --all-targets --no-default-features --features $$feature -- -D warnings || exit; \
	done
	./.ci/relay-tree

doc: setup ## Builds the documentation
	$(CARGO) doc --locked --no-deps

ci: ## Does what CI does
	./.ci/run

clean: ## Removes all that was built
	$(CARGO) clean
