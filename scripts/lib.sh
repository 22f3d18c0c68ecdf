# shellcheck shell=bash
# lib.sh - what the scripts share: messages, packages, the cache, counting of results. Source it.

set -u
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${VIBEVMM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/vibe-vmm}

say() { printf '== %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# need_packages NAME...: installs the Debian packages that are missing, and says so
need_packages() {
	local missing=() p
	for p in "$@"; do
		dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
	done
	[ ${#missing[@]} = 0 ] && return 0
	command -v apt-get >/dev/null || die "install these first: ${missing[*]}"
	say "installing with apt-get: ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	if ! as_root apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null 2>&1; then
		as_root apt-get update -q >/dev/null || die "apt-get update failed: is there a network?"
		as_root apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null ||
			die "apt-get could not install: ${missing[*]}"
	fi
}

BUILD_PACKAGES=(gcc libc6-dev make nasm zlib1g-dev libbz2-dev liblzma-dev liblz4-dev libzstd-dev liburing-dev)
IMAGE_PACKAGES=(cpio xz-utils)
TEST_PACKAGES=(clang libclang-rt-14-dev clang-tidy clang-format shellcheck libcmocka-dev libzydis-dev python3-pytest python3-pexpect qemu-utils e2fsprogs)

# The compiler, behind ccache where that is installed
cc_of() {
	if command -v ccache >/dev/null; then echo "ccache $1"; else echo "$1"; fi
}

# --- counting: each script that runs tests adds to the file $TALLY, one "passed failed skipped" a line

tally() { # tally PASSED FAILED SKIPPED
	[ -z "${TALLY:-}" ] || echo "$1 $2 $3" >>"$TALLY"
}

# check NAME COMMAND...: one counted check; its output is shown only where it fails
check() {
	local name=$1 log
	shift
	log=$(mktemp)
	if "$@" >"$log" 2>&1; then
		printf 'ok      %s\n' "$name"
		tally 1 0 0
		rm -f "$log"
		return 0
	fi
	printf 'FAILED  %s\n' "$name"
	tail -n 60 "$log" | sed 's/^/        /'
	rm -f "$log"
	tally 0 1 0
	return 1
}

skip() { # skip NAME REASON
	printf 'skipped %s: %s\n' "$1" "$2"
	tally 0 0 1
}

# Sums $TALLY into the line that ends a test run; false where something failed or nothing ran
tally_line() {
	awk '{ p += $1; f += $2; s += $3 }
		END { printf "%d passed, %d failed", p, f; if (s) printf ", %d skipped", s; print ""; exit f || !p }' "$TALLY"
}
