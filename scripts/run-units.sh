#!/usr/bin/env bash
# run-units.sh DIR [LABEL] - runs the unit tests built in DIR and counts them.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

dir=${1:?usage: run-units.sh DIR [LABEL]} label=${2:-${1%/tests/unit}}
passed=0 failed=0 skipped=0
export TSAN_OPTIONS="suppressions=$TOP/tests/tsan.supp ${TSAN_OPTIONS:-}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for src in "$TOP"/tests/unit/test_*.c; do
	name=$(basename "$src" .c)
	if [ ! -x "$dir/$name" ]; then
		if grep -q '<Zydis' "$src" && [ ! -e /usr/include/Zydis/Zydis.h ]; then
			printf 'skipped %s: libzydis-dev is not installed\n' "$name"
			skipped=$((skipped + 1))
		else
			printf 'FAILED  %s: not built\n' "$name"
			failed=$((failed + 1))
		fi
		continue
	fi
	# a file may say why one of the sanitizers cannot run it: "not under tsan: REASON"
	if why=$(grep -o "not under $label: .*" "$src"); then
		why=${why#*: }
		printf 'skipped %s (%s): %s\n' "$name" "$label" "${why% \*/}"
		skipped=$((skipped + 1))
		continue
	fi
	CMOCKA_MESSAGE_OUTPUT=TAP timeout 600 "$dir/$name" >"$log" 2>&1 </dev/null
	code=$?
	p=$(grep -c '^ok ' "$log") f=$(grep -c '^not ok ' "$log") s=$(grep -c '^ok .*# SKIP' "$log")
	p=$((p - s))
	# a crash, a sanitizer's report or a test that never ran is a failure as well
	if [ $code != 0 ] && [ "$f" = 0 ] || [ $((p + f + s)) = 0 ]; then
		f=$((f + 1))
		printf 'FAILED  %s: exit status %d\n' "$name" $code
	fi
	if [ "$f" != 0 ]; then
		grep -v '^ok ' "$log" | head -n 60 | sed "s/^/        /"
		printf 'FAILED  %s (%s)\n' "$name" "$label"
	fi
	grep '^ok .*# SKIP' "$log" | sed "s/^ok [0-9]* - /skipped $name: /"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
tally $passed $failed $skipped
printf 'unit tests of %s: %d passed, %d failed, %d skipped\n' "$label" $passed $failed $skipped
[ $failed = 0 ] && [ $passed != 0 ]
