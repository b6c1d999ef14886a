# A thin front of Meson and ninja. `make help` lists the targets.
BUILD ?= build
ASAN = $(BUILD)-asan
TSAN = $(BUILD)-tsan
FUZZ = $(BUILD)-fuzz
FUZZ_SECONDS ?= 60
SET ?= program

# Libraries that are not ours leak at exit; uninstrumented OpenMP barriers look like races.
ASAN_ENVIRONMENT = ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	LSAN_OPTIONS=suppressions=$(CURDIR)/tests/asan.supp:print_suppressions=0
TSAN_ENVIRONMENT = TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1

all: $(BUILD)/build.ninja ## builds build/weft
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@meson setup $(BUILD)

$(ASAN)/build.ninja:
	@meson setup $(ASAN) -Db_sanitize=address,undefined -Db_lundef=false

$(TSAN)/build.ninja:
	@meson setup $(TSAN) -Db_sanitize=thread -Db_lundef=false

check: ## builds and runs all fast tests
	@BUILD=$(BUILD) ./dev check

check-asan: $(ASAN)/build.ninja ## the fast tests under address, undefined and leak sanitizers
	@$(ASAN_ENVIRONMENT) BUILD=$(ASAN) ./dev check --timeout-multiplier 4

check-tsan: $(TSAN)/build.ninja ## the tests of suite tsan under the thread sanitizer
	@$(TSAN_ENVIRONMENT) BUILD=$(TSAN) ./dev check --suite tsan --timeout-multiplier 4

check-mutants: all ## every mutant of SET (program, cuda) must be caught: tests/mutants/mutants.h
	@$(BUILD)/tests/mutants/$(SET)

registers: all ## what each kernel takes of a GPU, by nvcc
	@meson test -C $(BUILD) --no-rebuild -v 'cuda registers'

fuzz: ## every fuzz target for FUZZ_SECONDS, by libFuzzer (needs clang)
	@tests/fuzz/run.sh . $(FUZZ) $(FUZZ_SECONDS)

bench: ## runs the benchmarks
	@BUILD=$(BUILD) ./dev bench

docs: all ## writes the figures and pictures in docs/ anew
	@tools/make_docs.sh $(BUILD)/weft docs docs

install: all ## installs the command
	@meson install -C $(BUILD) --no-rebuild

clean: ## removes the build folders
	rm -rf $(BUILD) $(ASAN) $(TSAN) $(FUZZ)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1 \2/p' $(firstword $(MAKEFILE_LIST)) | while read -r name text; do \
		printf 'make %-13s %s\n' "$$name" "$$text"; done

.PHONY: all check check-asan check-tsan check-mutants fuzz bench docs install clean help registers
