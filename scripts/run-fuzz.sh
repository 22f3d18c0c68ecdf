#!/usr/bin/env bash
# run-fuzz.sh DIR SECONDS [SEED] - runs every fuzz target built in DIR over its committed corpus, then for
# SECONDS more. New inputs go to DIR/corpus, crashes to DIR/crashes. Tests give a seed, so that a change fails
# on what it changed and not by chance; `make fuzz` does not, and looks for what is new.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

dir=${1:?usage: run-fuzz.sh DIR SECONDS} seconds=${2:?} seed=${3:-0}
result=0
mkdir -p "$dir/crashes"
for src in "$TOP"/tests/fuzz/fuzz_*.c; do
	name=$(basename "$src" .c)
	corpus=("$dir/corpus/$name")
	[ -d "$TOP/tests/fuzz/corpus/${name#fuzz_}" ] && corpus+=("$TOP/tests/fuzz/corpus/${name#fuzz_}")
	[ -d "$TOP/tests/fuzz/corpus/$name" ] && corpus+=("$TOP/tests/fuzz/corpus/$name")
	mkdir -p "${corpus[0]}"
	check "fuzz $name for $seconds s" "$dir/$name" -seed="$seed" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 \
		-print_final_stats=1 -artifact_prefix="$dir/crashes/$name-" "${corpus[@]}" || result=1
done
exit $result
