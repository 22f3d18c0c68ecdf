#!/usr/bin/env bash
# fetch-memtest.sh - puts memtest86+ from its Debian package into the cache and prints the directory that
# holds memtest86+x64.bin and memtest86+ia32.bin. What is there already is used.
set -e
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

dir=$CACHE/memtest
if [ ! -s "$dir/memtest86+x64.bin" ] || [ ! -s "$dir/memtest86+ia32.bin" ]; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	say "downloading memtest86+"
	cd "$work"
	if ! apt-get download memtest86+ >/dev/null 2>&1; then
		as_root apt-get update -q >/dev/null || die "apt-get update failed: is there a network?"
		apt-get download memtest86+ >/dev/null || die "apt-get could not download memtest86+"
	fi
	dpkg-deb -x memtest86+_*.deb .
	mkdir -p "$dir"
	cp boot/memtest86+x64.bin boot/memtest86+ia32.bin "$dir/"
fi
echo "$dir"
