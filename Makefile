# What a person types; each target sets up what is missing, which takes no time when nothing is.
.DEFAULT_GOAL := help
# Two targets at once would only wait for each other's locks; cargo uses all processors by itself.
.NOTPARALLEL:
.PHONY: help set-up e2e test sabotage fuzz lint bench ci

# Where rustup puts cargo, for shells from before it did.
export PATH := $(PATH):$(HOME)/.cargo/bin

help:
	@echo "make e2e     start the example lab, deploy SLURM, test it, take it down"
	@echo "make test    run every test"
	@echo "make sabotage  break what each check looks at, and see that the check notices"
	@echo "make fuzz    look for config files that the loader cannot bear"
	@echo "make lint    run every lint gate"
	@echo "make bench   measure"
	@echo "make ci      all that CI does"
	@echo "make set-up  install what is missing; the others do so themselves"

set-up:
	@scripts/set-up

e2e:
	@scripts/set-up
	cargo xtask e2e $(ARGS)

# Tests that boot machines wait for them now and then, so there is one more at a time than processors.
test:
	@scripts/set-up test
	RUST_TEST_THREADS=$$(($$(nproc) + 1)) cargo test --workspace --no-fail-fast $(ARGS)

sabotage:
	@scripts/set-up
	cargo run --package ai-how -- test sabotage $(ARGS)

# What it learnt stays in fuzz/corpus, and the next run goes on from there.
fuzz:
	mkdir -p fuzz/corpus/load
	cargo +nightly fuzz run --sanitizer none load fuzz/corpus/load config config/invalid -- \
		-max_total_time=300 -timeout=1 -max_len=20000 $(ARGS)

lint:
	@scripts/set-up lint
	cargo xtask ci

bench:
	@scripts/set-up
	cargo xtask bench $(ARGS)

ci:
	.ci/run
