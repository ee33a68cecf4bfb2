# The load generator and the figures; included by the Makefile.

loadgen_src := $(wildcard tools/loadgen/*.c)
$(B)/loadgen: $(call objects,$(loadgen_src)) $(gen_c).o $(libs_base)
	$(call link,-ldl)

all: $(B)/loadgen

.PHONY: bench
bench: all ## figures beside victoria-metrics, into tests/bench/RESULTS.md (10 minutes)
	$(PYTHON) tests/bench/bench.py --build $(B) $(BENCH)
