# Targets that run the tests; included by the Makefile.  tests/README.md says what is tested where.
#
# One variant is one build and what is run on it: plain has everything, the sanitizers the unit,
# property and fuzz programs and a part of the rest.

RUN_TESTS := $(PYTHON) tests/run.py
totals := $(B)/test-totals
ifeq ($(filter -j%,$(MAKEFLAGS)),)
jobs := -j2
endif

e2e_tests := $(sort $(wildcard tests/e2e/test_*.py tests/e2e/*/test_*.py))
crash_tests := $(sort $(wildcard tests/crash/test_*.py))
# under a sanitizer: what brings threads, foreign bytes and sudden ends together
san_tests := $(filter tests/crash/test_kill.py $(addprefix tests/e2e/,test_ingest.py test_limits.py test_process.py test_rm.py),\
	     $(crash_tests) $(e2e_tests))

recorder := $(B)/tests/crash/recorder.so
check_image := $(B)/tests/crash/check_image
crash_tools := $(if $(SAN),,$(recorder) $(check_image))
clock_shift := $(B)/tests/e2e/clock_shift.so

# they are loaded into the server; never built with a sanitizer themselves
$(recorder): tests/crash/recorder.c
$(clock_shift): tests/e2e/clock_shift.c
$(recorder) $(clock_shift):
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(filter-out -fsanitize%,$(C_FLAGS)) -fPIC -shared -fvisibility=hidden -o $@ $< -ldl
$(check_image): $(B)/tests/crash/check_image.c.o $(libs_store)
	$(call link)

c_tests := $(test_programs) $(fuzzers)

.PHONY: test test-programs test-only check-long fuzz libfuzzers
test-programs: all $(c_tests) $(crash_tools) $(clock_shift) $(if $(SAN),,$(B)/strip_bytes)

# what one variant runs; the long ones first, so that two at a time end together
test-only: test-programs
	@$(RUN_TESTS) --title "$(B):" --totals $(TOTALS) --more $(KNOBS) ASTRAML_BUILD=$(B) \
		$(if $(SAN),ASTRAML_TEST_SHORT=1 $(san_tests),$(crash_tests) $(e2e_tests)) $(c_tests)

sanitized = $(MAKE) $(jobs) --no-print-directory SAN=$(1) B=$(B)-$(subst $(comma),-,$(1)) TOTALS=$(totals) \
	KNOBS=$(2) test-only

test: layers ## everything that must always hold, with sanitizers; some minutes
ifeq ($(SAN),)
	@rm -f $(totals)
	@$(MAKE) $(jobs) --no-print-directory TOTALS=$(totals) test-only
	@$(call sanitized,address$(comma)undefined,ASTRAML_FUZZ_RUNS=4000)
	@$(call sanitized,thread,ASTRAML_FUZZ_RUNS=500)
	@$(RUN_TESTS) --totals $(totals)
else
	@rm -f $(totals)
	@$(MAKE) $(jobs) --no-print-directory TOTALS=$(totals) KNOBS=ASTRAML_FUZZ_RUNS=4000 test-only
	@$(RUN_TESTS) --totals $(totals)
endif

check-long: layers ## more of it: kills, power cuts, mutations; about an hour
	@rm -f $(totals)
	@$(MAKE) $(jobs) --no-print-directory TOTALS=$(totals) \
		KNOBS="--timeout 3600 ASTRAML_TEST_LONG=1 ASTRAML_FUZZ_RUNS=2000000" test-only
	@$(call sanitized,address$(comma)undefined,"--timeout 3600 ASTRAML_FUZZ_RUNS=500000")
	@$(call sanitized,thread,"--timeout 3600 ASTRAML_FUZZ_RUNS=20000")
	@$(RUN_TESTS) --totals $(totals)

# ---- libFuzzer ----

FUZZ_SECONDS ?= 60
libfuzzers := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
$(libfuzzers): $(B)/fuzz/%: $(B)/tests/fuzz/%.c.o $(libs_all)
	@mkdir -p $(@D)
	$(call link)
libfuzzers: $(libfuzzers)

fuzz: ## each fuzz target under libFuzzer for FUZZ_SECONDS (60); needs clang
	@$(MAKE) $(jobs) --no-print-directory CC=clang CXX=clang++ SAN=fuzzer,address B=$(B)-fuzz \
		CFLAGS=-Wno-unknown-warning-option CXXFLAGS=-Wno-unknown-warning-option libfuzzers
	@for name in $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c)); do \
		mkdir -p $(B)-fuzz/corpus/$$name; \
		echo "fuzz_$$name for $(FUZZ_SECONDS) s"; \
		$(B)-fuzz/fuzz/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -print_final_stats=1 \
			-artifact_prefix=$(B)-fuzz/ $(B)-fuzz/corpus/$$name tests/fuzz/corpus/$$name || exit 1; \
	done
