# make install PREFIX=/usr/local DESTDIR=

PREFIX ?= /usr/local

install: all
	install -D -m 755 bin/vibevmm $(DESTDIR)$(PREFIX)/bin/vibevmm
	install -D -m 644 docs/vibevmm.1 $(DESTDIR)$(PREFIX)/share/man/man1/vibevmm.1

.PHONY: install
