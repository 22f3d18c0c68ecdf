#!/usr/bin/env bash
# lint.sh - the checks of `make lint`, each counted: include directions, banned functions, file lengths,
# formatting of whitespace, clang-tidy and shellcheck where they are installed.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$TOP" || exit 1
: "${TALLY:=$(mktemp)}"
export TALLY
result=0

# A file may include what stands on its own line or below it; engines, devices and boot code do not know
# each other, and only main.c, cli and machine see the configuration.
include_directions() {
	awk '
	BEGIN {
		may["base"] = "base"
		may["core"] = "base core"
		may["host"] = "base host"
		may["config"] = "base config"
		may["cli"] = "base config cli version.h"
		may["engine"] = "base core engine"
		may["dev"] = "base core host dev"
		may["virtio"] = "base core host dev virtio"
		may["boot"] = "base core boot engine/x86"
		may["machine"] = "base core host config engine dev virtio boot machine"
		may["main.c"] = "base host config cli engine machine"
		may["version.h"] = ""
	}
	/^#[ ]*include "/ {
		file = substr(FILENAME, 5); split(file, f, "/"); layer = f[1]
		match($0, /"[^"]*"/); inc = substr($0, RSTART + 1, RLENGTH - 2); split(inc, i, "/")
		n = split(may[layer], ok, " "); good = 0
		for (k = 1; k <= n; k++)
			if (i[1] == ok[k] || index(inc, ok[k] "/") == 1) good = 1
		if (!good) { printf "%s:%d: %s may not include %s\n", FILENAME, FNR, layer, inc; bad = 1 }
	}
	END { exit bad }' $(git ls-files 'src/*.c' 'src/*.h' 'src/*.def')
}

banned_functions() {
	! grep -nE -f <(sed -n 's/^#define BANNED_\([a-z_]*\).*/(^|[^a-zA-Z0-9_.>])\1[ ]*\\(/p' src/base/banned.h) \
		$(git ls-files 'src/*.c' 'src/*.h' | grep -v 'base/banned.h') &&
	! grep -nE '(^|[^a-zA-Z0-9_.>])(exit|abort|printf|puts|perror)[ ]*\(' \
		$(git ls-files 'src/*.c' | grep -v 'src/main.c')
}

# Tables are data: files named *.def, and those that say so
file_lengths() {
	local bad=0 f n
	for f in $(git ls-files 'src/*.c' 'src/*.h' 'tests/*.c'); do
		n=$(wc -l <"$f")
		[ "$n" -le 600 ] || { echo "$f: $n lines, more than 600: find a seam"; bad=1; }
	done
	return "$bad"
}

whitespace() {
	! grep -nE '[ 	]+$' $(git ls-files 'src/*' 'scripts/*' 'tests/*.py' 'mk/*' 'docs/*')
}

unfinished() {
	! grep -nE '\bTODO\b|FIXME|\bXXX\b|not implemented|unimplemented' $(git ls-files src scripts mk | grep -v scripts/lint.sh)
}

clang_tidy() {
	git ls-files 'src/*.c' | xargs -P "$(nproc)" -n 4 sh -c \
		'clang-tidy --quiet --warnings-as-errors="*" "$@" -- -std=gnu11 -Isrc -D_GNU_SOURCE -pthread' tidy
}

check "include directions" include_directions || result=1
check "banned functions" banned_functions || result=1
check "file lengths" file_lengths || result=1
check "trailing blanks" whitespace || result=1
check "marks of unfinished work" unfinished || result=1
if command -v shellcheck >/dev/null; then
	check "shellcheck" shellcheck -x -e SC1091,SC2046,SC2317,SC2034 scripts/*.sh .ci/run || result=1
else
	skip "shellcheck" "not installed"
fi
if [ "${1:-}" = --quick ]; then
	: # clang-tidy takes minutes: make lint and test.sh --full run it
elif command -v clang-tidy >/dev/null; then
	check "clang-tidy" clang_tidy || result=1
else
	skip "clang-tidy" "not installed"
fi
exit $result
