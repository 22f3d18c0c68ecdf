# Vibe-VMM. Plain GNU make, no configure step; `make help` lists the targets.
#
# One variable chooses the kind of build: VARIANT=release (default), debug, asan, tsan or fuzz.
# Everything is built below OUT (build/$(VARIANT)); bin/vibevmm is a copy of the release program.

VARIANT ?= release
OUT ?= build/$(VARIANT)

include mk/variants.mk

WARN = -Wall -Wextra -Wno-unused-parameter -Wstrict-prototypes -Wmissing-prototypes -Wshadow
ALL_CFLAGS = -std=gnu11 -Isrc -D_GNU_SOURCE -pthread -fno-strict-aliasing -MMD -MP $(WARN) $(URING_CFLAGS) $(CFLAGS) $(VARIANT_CFLAGS)
LDLIBS = -lz -lbz2 -llzma -llz4 -lzstd $(URING_LIBS) -lpthread -lm

SRC := $(sort $(shell find src -name '*.c'))
OBJ := $(SRC:src/%.c=$(OUT)/%.o)
LIBOBJ := $(filter-out $(OUT)/main.o,$(OBJ))
LIB := $(OUT)/libvibevmm.a

ifeq ($(OUT),build/release)
all: bin/vibevmm
else
all: $(OUT)/vibevmm
endif

bin/vibevmm: build/release/vibevmm
	@mkdir -p bin && cp -f $< $@.new && mv -f $@.new $@

$(OUT)/vibevmm: $(OUT)/main.o $(LIB)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(LIB): $(LIBOBJ)
	@rm -f $@ && ar rcs $@ $^

# The interpreter's handlers go on by tail calls at every level of optimisation, and a pair of 64-bit stores is
# faster than the vector register that it could be packed into. Flags, not pragmas: functions whose pragmas
# differ are not inlined into each other.
$(OUT)/engine/soft/%.o: VARIANT_CFLAGS += -foptimize-sibling-calls -fno-tree-slp-vectorize

$(OUT)/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

-include $(OBJ:.o=.d)

include mk/tests.mk mk/check.mk mk/install.mk
include $(wildcard tests/*/rules.mk)

clean:
	rm -rf build bin
	@$(MAKE) -s -C tests/kernels clean

help:
	@sed -n 's/^## //p' mk/help.txt

.PHONY: all clean help
.DELETE_ON_ERROR:
