# Builds and runs everything, also on a fresh Debian 12, Debian 13 or Ubuntu machine on which rustup installed Rust.

CARGO ?= cargo
RUSTDOCFLAGS ?= -D warnings
export RUSTDOCFLAGS

# Of the fuzz targets: how long each runs, and the sanitizer, as in: make fuzz SECONDS_EACH=60 SANITIZER=none
SECONDS_EACH ?= 5
SANITIZER ?=
export SECONDS_EACH SANITIZER

# Arguments of the comparison, as in: make bench-peer COMPARE="--only L3T3 --repeat 5"
COMPARE ?=

# Arguments of the measurement of the relay, as in: make load LOAD="--threads 2 --rooms 200"
LOAD ?=

# The packages that are tested.
TESTED := -p layercast -p layercast-compare -p layercast-conference -p layercast-link -p layercast-batch \
	-p layercast-meeting -p layercast-attend -p layercast-page -p layercast-participant -p layercast-relay

FEATURES := encoder decoder rtp congestion relay e2ee select session simulate

.PHONY: help setup demo meeting browser browser-wasm browser-page test-browser picture test test-features fuzz bless bench bench-peer load lint targets msrv deny doc ci clean

help: ## Lists these targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: ## Installs a C compiler and nasm, if they are missing
	@./.ci/setup

demo: setup ## Holds a whole call over a relay without keys; draws it in target/demo/conference.html
	$(CARGO) run --release --locked -p layercast-conference

meeting: setup ## Holds a meeting over sockets: a relay and three participants on this machine, for a minute
	$(CARGO) build --release --locked -p layercast-relay -p layercast-participant
	@./examples/relay/meeting.sh

browser: browser-page ## Starts a relay with the page for browsers and a meeting, and prints links for guests
	$(CARGO) build --release --locked -p layercast-relay -p layercast-participant
	@./examples/browser/demo.sh

browser-wasm: setup ## Builds the wasm module of the page, and measures it
	@./.ci/wasm
	@./.ci/setup page
	node examples/browser/wasm/measure.mjs

browser-page: setup browser-wasm ## Builds the page for browsers into examples/browser/dist
	@./.ci/setup page
	cd examples/browser/page && npm ci --ignore-scripts --no-audit --no-fund && npm run build

test-browser: browser-page ## Holds meetings of Chromium tabs and native participants over a relay; PROFILE=release for figures
	@./.ci/setup chromium
	@./.ci/test-browser $(TESTED)

picture: setup ## Codes a scene once, decodes its nine decode targets, draws them in target/picture/L3T3.png
	$(CARGO) run --release --locked -p layercast-picture

test: setup ## Runs all tests, the doctests and the README's snippets among them
	$(CARGO) test --locked $(TESTED)

test-features: setup ## Runs the unit tests without features, and with each feature alone
	$(CARGO) test --locked --lib --no-default-features
	for feature in $(FEATURES); do \
		$(CARGO) test --locked --lib --no-default-features --features $$feature || exit; \
	done

fuzz: ## Runs each fuzz target for SECONDS_EACH seconds (5), with AddressSanitizer if there is a nightly compiler
	@./.ci/setup c++
	@PACKAGES="$(TESTED)" ./.ci/fuzz

bless: setup ## Writes test-vectors anew, after a change of the encoder that alters streams on purpose
	LAYERCAST_BLESS=1 $(CARGO) test --locked --test vectors

bench: setup ## Measures packets, decisions, and the encoder beside rav1e; writes target/bench
	$(CARGO) bench --locked --bench packets --bench select --bench relay
	$(CARGO) bench --locked -p layercast-compare --bench encode
	$(CARGO) run --release --locked -p layercast-compare -- $(COMPARE)

bench-peer: ## Compares the encoder with rav1e and with libaom's real-time mode, which this builds
	@./.ci/setup peer
	$(CARGO) run --release --locked -p layercast-compare --features libaom -- $(COMPARE)

load: setup ## Measures the relay over real sockets of this machine, beside a bare loop that sends the same bytes
	$(CARGO) run --release --locked -p layercast-load -- $(LOAD)

lint: ## Checks the formatting, runs clippy with each feature, and checks what a relay links
	@./.ci/setup c++
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets --no-default-features -- -D warnings
	for feature in $(FEATURES); do \
		$(CARGO) clippy --locked --all-targets --no-default-features --features $$feature -- -D warnings || exit; \
	done
	./.ci/relay-tree

targets: ## Checks what browsers run as WebAssembly, and tests the codec for ARM in an emulator, if rustup has these targets
	@./.ci/targets

msrv: ## Checks that the crate builds with the Rust version that Cargo.toml names, if rustup has it
	@./.ci/msrv

deny: ## Checks licences, advisories and sources of all dependencies, if cargo-deny is installed
	@./.ci/deny

doc: setup ## Builds the documentation
	$(CARGO) doc --locked --no-deps

ci: ## Runs every check that CI runs
	./.ci/run

clean: ## Removes everything that was built
	$(CARGO) clean
