# The kinds of build. A command line's CC and CFLAGS win over what stands here.

ifeq ($(VARIANT),release)
  CFLAGS ?= -O2 -g
else ifeq ($(VARIANT),debug)
  CFLAGS ?= -Og -g3
else ifeq ($(VARIANT),asan)
  CFLAGS ?= -O1 -g
  VARIANT_CFLAGS = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else ifeq ($(VARIANT),tsan)
  CFLAGS ?= -O1 -g
  VARIANT_CFLAGS = -fsanitize=thread -fno-omit-frame-pointer
else ifeq ($(VARIANT),fuzz)
  CC = clang
  CFLAGS ?= -O1 -g
  VARIANT_CFLAGS = -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else
  $(error VARIANT is '$(VARIANT)', not one of release debug asan tsan fuzz)
endif

# make's built-in default is "cc"; this project means gcc unless told otherwise
ifeq ($(origin CC),default)
  CC = gcc
endif

# The disassembler that tests use as an oracle; tests that include it are left out where it is missing
HAVE_ZYDIS := $(wildcard /usr/include/Zydis/Zydis.h)

# io_uring for disks; without it worker threads do all their I/O
ifneq ($(wildcard /usr/include/liburing.h),)
  URING_CFLAGS = -DHAVE_LIBURING
  URING_LIBS = -luring
endif
