#!/usr/bin/env bash
# test.sh [--quick|--full] - builds and tests everything; the last line is "N passed, N failed".
#
#   (nothing)   installs what is missing through apt-get (and says so); builds with gcc and clang without
#               warnings; unit tests, also under the sanitizers; short fuzzing; guest programs and whole
#               kernels; lint
#   --quick     unit, guest and end-to-end tests of what is built, for `make test`
#   --full      as without an option, with half a minute of fuzzing for each target, longer soaks, clang-tidy,
#               the demo and the benchmark
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$TOP" || exit 1

level=${1:-normal}
case $level in
normal) fuzz_seconds=5 ;;
--full) fuzz_seconds=30 ;;
--quick) ;;
*) die "usage: test.sh [--quick|--full]" ;;
esac

export VIBEVMM_TEST_LEVEL=$level # the end-to-end tests soak longer with --full
TALLY=$(mktemp)
export TALLY
trap 'rm -f "$TALLY"' EXIT
jobs=-j$(nproc)
gcc=$(cc_of gcc) clang=$(cc_of clang)
python=/usr/bin/python3 # Debian's, which sees Debian's pytest
[ -x $python ] || python=python3

# The tests in Python: guest programs and end to end. Their own summary is counted.
python_tests() {
	local log
	log=$(mktemp)
	if ! $python -c 'import pytest, pexpect' 2>/dev/null; then
		skip "guest and end-to-end tests" "python3-pytest or python3-pexpect is not installed"
		return
	fi
	$python -m pytest -q -rs -p no:cacheprovider tests </dev/null 2>&1 | tee "$log"
	count_pytest "${PIPESTATUS[0]}" "$log"
	rm -f "$log"
}

count_pytest() { # count_pytest STATUS LOG: takes the numbers out of "3 failed, 20 passed, 1 skipped in 9.1s"
	local line p f s e
	line=$(grep -E '^(=+ )?[0-9]+ (passed|failed|skipped|error).* in ' "$2" | tail -n 1)
	number() { echo "$line" | sed -n "s/.*\b\([0-9]\+\) $1.*/\1/p"; }
	p=$(number passed) f=$(number failed) s=$(number skipped) e=$(number error)
	f=$((${f:-0} + ${e:-0}))
	# stopped before its summary, or failed in a way that the summary does not show
	[ "$1" = 0 ] || [ "$1" = 5 ] || [ "$f" != 0 ] || f=1
	tally "${p:-0}" "$f" "${s:-0}"
}

if [ "$level" != --quick ]; then
	need_packages "${BUILD_PACKAGES[@]}" "${IMAGE_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
	make -s help >/dev/null || exit 1
	say "building: gcc"
	check "build with gcc, warnings are errors" make -s "$jobs" CC="$gcc" CFLAGS="-O2 -g -Werror" all unit-bins
	say "building: clang"
	check "build with clang, warnings are errors" \
		make -s "$jobs" OUT=build/clang CC="$clang" CFLAGS="-O2 -g -Werror" all unit-bins
	say "fetching kernels for the end-to-end tests"
	for kernel in cloud generic; do
		"$TOP/scripts/make-image.sh" $kernel >/dev/null || say "no $kernel kernel: its tests will be skipped"
	done
	"$TOP/scripts/fetch-memtest.sh" >/dev/null || say "no memtest86+: its tests will be skipped"
fi

say "unit tests"
"$TOP/scripts/run-units.sh" build/release/tests/unit release
if [ "$level" != --quick ]; then
	for variant in asan tsan; do
		say "unit tests: $variant"
		check "build $variant" make -s "$jobs" VARIANT=$variant CC="$gcc" unit-bins &&
			"$TOP/scripts/run-units.sh" build/$variant/tests/unit $variant
	done
	say "fuzzing"
	check "build fuzz targets" make -s "$jobs" VARIANT=fuzz CC="$clang" fuzz-bins &&
		"$TOP/scripts/run-fuzz.sh" build/fuzz/tests/fuzz "$fuzz_seconds" 1
fi
for extra in tests/*/run.sh; do
	[ -x "$extra" ] && "$extra" "$level"
done
say "guest programs and whole kernels"
python_tests
if [ "$level" != --quick ]; then
	say "lint"
	if [ "$level" = --full ]; then "$TOP/scripts/lint.sh"; else "$TOP/scripts/lint.sh" --quick; fi
fi
if [ "$level" = --full ]; then
	say "the demo"
	check "the demo boots and powers off" "$TOP/scripts/demo.sh" </dev/null
	need_packages qemu-system-x86
	"$TOP/tests/bench/boot.py"
fi
tally_line
