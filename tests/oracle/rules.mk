# The differential test against the host's processor (tests/oracle). x86-64 hosts with Zydis only.

ORACLE_SRC := $(sort $(wildcard tests/oracle/*.c))
ORACLE_OBJ := $(ORACLE_SRC:%.c=$(OUT)/%.o) $(OUT)/tests/oracle/stub.o
ORACLE := $(OUT)/tests/oracle/oracle
HOST_ARCH := $(shell uname -m)

$(OUT)/tests/oracle/%.o: tests/oracle/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itests/oracle -c -o $@ $<
$(OUT)/tests/oracle/stub.o: tests/oracle/stub.S
	@mkdir -p $(@D)
	$(CC) -c -o $@ $<
$(ORACLE): $(ORACLE_OBJ) $(LIB)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(ORACLE_OBJ) $(LIB) -lZydis $(LDLIBS)
-include $(ORACLE_OBJ:.o=.d)

ifeq ($(HOST_ARCH)-$(if $(HAVE_ZYDIS),zydis),x86_64-zydis)
ifneq ($(filter $(VARIANT),release debug),)
unit-bins: $(ORACLE)
endif
fuzz: oracle-fuzz
endif

oracle: $(ORACLE)
oracle-fuzz: $(ORACLE)
	$(ORACLE) --seed random --seconds $(FUZZ_SECONDS)

.PHONY: oracle oracle-fuzz
