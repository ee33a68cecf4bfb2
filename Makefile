# AstraML store: time-series metrics and logs of training runs.  `make help` lists the targets.
#
# Each folder becomes a static library; a test links the libraries its folder may use, no more.
# Variables: CC, CXX, SAN=address,undefined | thread, B=build directory, PREFIX, DESTDIR.

VERSION := 0.1.0
PREFIX ?= /usr/local
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
SAN ?=
comma := ,
B ?= build$(if $(SAN),-$(subst $(comma),-,$(SAN)))

WARN := -Wall -Wextra -Werror -Wshadow -Wvla -Wundef
OPT ?= -O2
# Structs written field by field and read back in pairs stall the processor: no SLP vectors.
FLAGS := $(OPT) -fno-tree-slp-vectorize -g -pthread $(WARN) -I. -I$(B)/gen -ffp-contract=off -fno-strict-aliasing -DASTRAML_VERSION='"$(VERSION)"' \
	 $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
# gcc's sanitizers and -O2 together invent maybe-uninitialized warnings
FLAGS += $(if $(SAN),-Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-stringop-overread)
CFLAGS ?=
CXXFLAGS ?=
C_FLAGS = -std=gnu17 -D_GNU_SOURCE -Wstrict-prototypes -Wmissing-prototypes $(FLAGS) $(CFLAGS)
CXX_FLAGS = -std=c++17 $(FLAGS) $(CXXFLAGS)
LDLIBS := -llmdb -lzstd -larchive -levent_core -levent_pthreads -lprotobuf-c -ljson-c -lsodium -lpcre2-8 -lxxhash -lz -lcurl -lm

base_src := $(wildcard store/base/*.c store/base/*.cc)
store_src := $(wildcard store/*.c) $(filter-out store/base/%,$(wildcard store/*/*.c))
proto_src := $(wildcard proto/*.c)
ingest_src := $(wildcard ingest/*.c ingest/import/*.c)
query_src := $(wildcard query/*.c query/cli/*.c)
objects = $(patsubst %,$(B)/%.o,$(1))

LIB := $(B)/lib
libs_base := $(LIB)/libbase.a
libs_store := $(LIB)/libstore.a $(libs_base)
libs_proto := $(LIB)/libproto.a $(libs_base)
libs_ingest := $(LIB)/libingest.a $(LIB)/libproto.a $(libs_store)
libs_query := $(LIB)/libquery.a $(LIB)/libproto.a $(libs_store)
libs_all := $(LIB)/libingest.a $(LIB)/libquery.a $(LIB)/libproto.a $(libs_store)

# V=1 shows the commands
say = @$(if $(V),,printf '  %-4s %s\n' '$(1)' '$(2)';)

gen_c := $(B)/gen/astraml/v2/ingest.pb-c.c
gen_h := $(gen_c:.c=.h)
gen_py := $(B)/gen/astraml/v2/ingest_pb2.py $(B)/gen/astraml/v2/query_pb2.py

program := $(B)/astraml

.PHONY: all help
all: $(program) $(gen_py) ## build everything; warnings are errors; the program is build/astraml

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  variables: SAN=address,undefined or SAN=thread (own build directory), CC=clang CXX=clang++,"
	@echo "             B=DIR (build directory), V=1 (show commands), PREFIX=$(PREFIX), DESTDIR"

$(gen_c) $(gen_h) &: proto/astraml/v2/ingest.proto
	@mkdir -p $(B)/gen
	$(call say,GEN,$@)protoc-c --c_out=$(B)/gen -I proto $<
$(gen_py): $(B)/gen/astraml/v2/%_pb2.py: proto/astraml/v2/%.proto
	@mkdir -p $(B)/gen
	$(call say,GEN,$@)protoc --python_out=$(B)/gen -I proto $<

$(B)/%.c.o: %.c | $(gen_h)
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(C_FLAGS) -MMD -MP -c -o $@ $<
$(B)/%.cc.o: %.cc
	@mkdir -p $(@D)
	$(call say,CXX,$<)$(CXX) $(CXX_FLAGS) -MMD -MP -c -o $@ $<
$(B)/gen/%.c.o: $(B)/gen/%.c
	$(call say,CC,$<)$(CC) $(C_FLAGS) -w -MMD -MP -c -o $@ $<

# Loops over columns gain from vectors.
$(addprefix $(B)/store/part/,column.c.o column_guess.c.o scale.c.o strip.c.o strip_bucket.c.o strip_coder.c.o strip_sheet.c.o): C_FLAGS += -O3
$(addprefix $(B)/store/log/,digits.c.o logtext_column.c.o): C_FLAGS += -O3
# rounding is an instruction where nobody asks for errno
$(B)/store/part/scale.c.o: C_FLAGS += -fno-math-errno

$(LIB)/libbase.a: $(call objects,$(base_src))
$(LIB)/libstore.a: $(call objects,$(store_src))
$(LIB)/libproto.a: $(call objects,$(proto_src)) $(gen_c).o
$(LIB)/libingest.a: $(call objects,$(ingest_src))
$(LIB)/libquery.a: $(call objects,$(query_src))
$(LIB)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	@$(AR) rcs $@ $^

# the C++ driver links, for the one file that needs libstdc++
link = $(call say,LD,$@)$(CXX) $(CXX_FLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS) $(1)

$(program): $(call objects,$(wildcard tools/*.c)) $(libs_all)
	$(call link)

# ---- tests: tests/<kind>/<layer>/test_*.c, each one program ----

unit = $(patsubst %.c,$(B)/%,$(wildcard tests/$(1)/$(2)/test_*.c))
test_programs := $(foreach k,unit property,$(foreach l,base store proto ingest query,$(call unit,$(k),$(l))))
define test_rule
$(call unit,unit,$(1)) $(call unit,property,$(1)): $(B)/%: $(B)/%.c.o $$(libs_$(1))
	$$(call link,-lcmocka)
endef
$(foreach l,base store proto ingest query,$(eval $(call test_rule,$(l))))

fuzzers := $(patsubst tests/fuzz/%.c,$(B)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
$(fuzzers): $(B)/%: $(B)/%.c.o $(B)/tests/fuzz/driver.c.o $(libs_all)
	$(call link)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
include tests/tests.mk tests/bench/bench.mk

.PHONY: deps demo layers lint format install clean
deps: ## install what is missing (Debian 12 packages, with sudo when not root)
	sh tools/deps.sh

demo: all ## a server, three real runs, one live one, and what to look at
	@ASTRAML=$(B)/astraml sh tools/demo.sh

layers: ## check who may include whom
	sh tests/layers.sh

lint: ## clang-format and cppcheck
	clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h')
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --suppress=missingIncludeSystem \
		 '-Djson_object_object_foreach(o,k,v)=const char *k = 0; struct json_object *v = 0; for (;;)' --error-exitcode=1 -I. store proto ingest query tools

format: ## rewrite the sources as .clang-format says
	clang-format -i $$(git ls-files '*.c' '*.h')

install: all ## into $(DESTDIR)$(PREFIX)
	install -D -m 755 $(B)/astraml $(DESTDIR)$(PREFIX)/bin/astraml
	install -d $(DESTDIR)$(PREFIX)/share/astraml/proto/astraml/v2
	install -m 644 proto/astraml/v2/*.proto $(DESTDIR)$(PREFIX)/share/astraml/proto/astraml/v2/

clean: ## remove what was built
	rm -rf build build-*
