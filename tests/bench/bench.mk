# The load generator and the figures; included by the Makefile.

loadgen_src := $(wildcard tools/loadgen/*.c)
$(B)/loadgen: $(call objects,$(loadgen_src)) $(gen_c).o $(libs_base)
	$(call link,-ldl)

all: $(B)/loadgen

$(B)/tests/fuzz/fuzz_answer $(B)/fuzz/fuzz_answer: $(B)/tools/loadgen/answer.c.o

# build/strip_bytes DIR: what sealed buckets take, column by column
$(B)/strip_bytes: $(B)/tests/bench/strip_bytes.c.o $(libs_store)
	$(call link)

.PHONY: bench bench-deps
bench: all $(B)/strip_bytes ## figures beside the peers, into tests/bench/RESULTS.md (50 minutes; BENCH="--quick --only NAME")
	$(PYTHON) tests/bench/bench.py --build $(B) $(BENCH)

bench-deps: ## install the peers: victoria-metrics, prometheus, rrdtool, and gnuplot, ripgrep
	sh tools/deps.sh bench
