# Formatting and static checks.

SOURCES = $(shell git ls-files 'src/*.c' 'src/*.h' 'tests/*.c' 'tests/*.h')

format:
	clang-format -i $(SOURCES)

lint:
	@scripts/lint.sh

.PHONY: format lint
