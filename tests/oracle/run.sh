#!/usr/bin/env bash
# run.sh [LEVEL] - the differential test against the host's processor, as part of scripts/test.sh.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"

oracle=$TOP/build/release/tests/oracle/oracle
[ "$(uname -m)" = x86_64 ] || { skip "oracle" "the host is no x86-64 processor"; exit 0; }
[ -e /usr/include/Zydis/Zydis.h ] || { skip "oracle" "libzydis-dev is not installed"; exit 0; }
say "single instructions against the host's processor"
case ${1:-} in
--full) args=(--seed random --seconds 60) ;;
*) args=(--seed 1 --seconds 6) ;;
esac
log=$(mktemp)
trap 'rm -f "$log"' EXIT
timeout 300 "$oracle" "${args[@]}" >"$log" 2>&1
code=$?
line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
if [ -z "$line" ]; then
	tail -n 40 "$log"
	printf 'FAILED  oracle: exit status %d\n' $code
	tally 0 1 0
	exit 1
fi
[ $code = 0 ] || head -n 120 "$log"
grep '^oracle:' "$log"
read -r passed _ failed _ <<<"$line"
tally "$passed" "$failed" 0
printf 'forms of instructions: %s\n' "$line"
exit $code
