# Unit tests (tests/unit/test_NAME.c, one program each) and fuzz targets (tests/fuzz/fuzz_NAME.c).
#
#   make OUT=... $(OUT)/tests/unit/test_NAME      builds one unit test
#   make VARIANT=fuzz build/fuzz/tests/fuzz/fuzz_NAME

UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
ifeq ($(HAVE_ZYDIS),)
  UNIT_SRC := $(filter-out $(shell grep -l '<Zydis' $(UNIT_SRC) /dev/null),$(UNIT_SRC))
  TEST_LIBS = -lcmocka
else
  TEST_LIBS = -lcmocka -lZydis
endif
UNIT_BIN := $(UNIT_SRC:%.c=$(OUT)/%)
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN := $(FUZZ_SRC:%.c=$(OUT)/%)
FUZZ_SECONDS ?= 60

$(OUT)/tests/unit/%: tests/unit/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itests $(LDFLAGS) -o $@ $< $(LIB) -Wl,--as-needed $(TEST_LIBS) $(LDLIBS)

$(OUT)/tests/fuzz/%: tests/fuzz/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itests -fsanitize=fuzzer,address,undefined $(LDFLAGS) -o $@ $< $(LIB) $(LDLIBS)

-include $(UNIT_BIN:=.d) $(FUZZ_BIN:=.d)

unit-bins: $(UNIT_BIN)
fuzz-bins: $(FUZZ_BIN)

test: all unit-bins
	@scripts/test.sh --quick

asan tsan:
	@$(MAKE) --no-print-directory VARIANT=$@ OUT=build/$@ unit-bins
	@scripts/run-units.sh build/$@/tests/unit

fuzz:
	@$(MAKE) --no-print-directory VARIANT=fuzz OUT=build/fuzz fuzz-bins
	@scripts/run-fuzz.sh build/fuzz/tests/fuzz $(FUZZ_SECONDS)

bench: all
	@tests/bench/boot.py
	@tests/bench/disk.py

kernels:
	@$(MAKE) -s -C tests/kernels x86_64

# The seed's example names the assembled kernel, so a plain `make` provides it where nasm is
ifneq ($(shell command -v nasm 2>/dev/null),)
all: kernels
endif

.PHONY: unit-bins fuzz-bins test asan tsan fuzz bench kernels
