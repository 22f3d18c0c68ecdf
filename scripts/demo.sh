#!/usr/bin/env bash
# demo.sh [vibevmm options] - builds Vibe-VMM and boots Debian's cloud kernel with it.
#
# On a terminal you get a shell of the guest. Without one it boots, prints the kernel's banner, the
# boot time, the engine and why it was chosen, and powers off; the exit status is 0 when all went well.
# What it downloads is kept in ~/.cache/vibe-vmm (or $VIBEVMM_CACHE): a second run needs no network.
set -e
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

need_packages "${BUILD_PACKAGES[@]}" "${IMAGE_PACKAGES[@]}"
say "building"
make -C "$TOP" -s -j"$(nproc)" CC="$(cc_of gcc)"
image=$("$TOP/scripts/make-image.sh" cloud)
run=("$TOP/bin/vibevmm" --kernel "$image/vmlinuz" --initrd "$image/initrd.img")

if [ -t 0 ]; then
	say "booting Linux $(cat "$image/version"): 'poweroff -f' ends it, Ctrl-A x leaves at once"
	exec "${run[@]}" "$@"
fi

out=$(mktemp) log=$(mktemp)
trap 'rm -f "$out" "$log"' EXIT
say "booting Linux $(cat "$image/version") without a terminal"
start=$(date +%s%N)
code=0
timeout 300 "${run[@]}" --log 3 --cmdline "console=ttyS0 earlyprintk=serial panic=1 vibe.poweroff" "$@" \
	>"$out" 2>"$log" </dev/null || code=$?
ms=$((($(date +%s%N) - start) / 1000000))
if [ $code != 0 ] || ! grep -q 'vibe-vmm: init is running' "$out"; then
	cat "$log" >&2
	tail -n 30 "$out" >&2
	die "the guest did not come up and power off (exit status $code)"
fi
grep -a -m 1 -o 'Linux version.*' "$out" | tr -d '\r'
grep -a -o 'vibe-vmm: init is running.*' "$out" | tr -d '\r'
printf 'boot time: %d.%02d s from start to power-off\n' $((ms / 1000)) $((ms % 1000 / 10))
sed -n 's/^\[INFO\] Engine: \([a-z]*\): \(.*\)$/engine: \1 (\2)/p' "$log"
