# Vibe-VMM: make, make test asan tsan fuzz bench format lint install clean help
CC ?= gcc
CFLAGS ?= -O2 -g
OUT ?= build/release
WARN = -Wall -Wextra -Wno-unused-parameter -Wstrict-prototypes -Wmissing-prototypes -Wshadow
ALL_CFLAGS = -std=gnu11 -Isrc -D_GNU_SOURCE -pthread -fno-strict-aliasing -MMD -MP $(WARN) $(CFLAGS)
LDLIBS = -lz -lbz2 -llzma -llz4 -lzstd -lpthread -lm

SRC := $(sort $(shell find src -name '*.c'))
OBJ := $(SRC:src/%.c=$(OUT)/%.o)
LIBOBJ := $(filter-out $(OUT)/main.o,$(OBJ))

all: bin/vibevmm
bin/vibevmm: $(OUT)/vibevmm
	@mkdir -p bin && cp -f $< $@
$(OUT)/vibevmm: $(OBJ)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(OUT)/libvibevmm.a: $(LIBOBJ)
	rm -f $@ && ar rcs $@ $^
$(OUT)/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<
-include $(OBJ:.o=.d)
.PHONY: all
