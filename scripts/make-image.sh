#!/usr/bin/env bash
# make-image.sh cloud|generic - puts a Debian kernel and an initramfs for it into the cache and
# prints the directory that holds them: vmlinuz, initrd.img, version. What is there already is used.
#
# The kernel is the package that linux-image-cloud-amd64 (or linux-image-amd64) depends on, the
# userland busybox-static; both come through apt-get download and are only unpacked, not installed.
set -e
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

case ${1:-} in
cloud) meta=linux-image-cloud-amd64 ;;
generic) meta=linux-image-amd64 ;;
*) die "usage: make-image.sh cloud|generic" ;;
esac
dir=$CACHE/$1
stamp=$(cat "$0" "$TOP/scripts/guest-init" | cksum)

# Modules that this initramfs may need, with all that they depend on
modules="virtio_pci virtio_mmio virtio_blk virtio_net virtio_console virtio-rng virtio_balloon ext4 pvpanic-mmio"

# download PACKAGE: into the present directory
download() {
	apt-get download "$1" >/dev/null 2>&1 && return
	say "updating apt-get's lists"
	as_root apt-get update -q >/dev/null || die "apt-get update failed: is there a network?"
	apt-get download "$1" >/dev/null || die "apt-get could not download $1"
}

fetch_busybox() {
	[ -x "$CACHE/busybox" ] && return
	say "downloading busybox-static"
	(cd "$work" && download busybox-static && dpkg-deb -x busybox-static_*.deb bb)
	install -m 755 "$work/bb/bin/busybox" "$CACHE/busybox"
}

# The kernel and, below $dir/modules, the modules with a list in loading order
fetch_kernel() {
	local package version
	[ -s "$dir/vmlinuz" ] && return
	package=$(apt-cache depends "$meta" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
	if [ -z "$package" ]; then
		say "updating apt-get's lists"
		as_root apt-get update -q >/dev/null || die "apt-get update failed: is there a network?"
		package=$(apt-cache depends "$meta" | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
	fi
	[ -n "$package" ] || die "$meta is not known to apt-get"
	say "downloading $package"
	(cd "$work" && download "$package" && dpkg-deb -x "$package"_*.deb kernel)
	version=${package#linux-image-}
	[ -d "$work/kernel/lib/modules/$version" ] || version=$(basename "$work"/kernel/lib/modules/*)
	"$CACHE/busybox" depmod -b "$work/kernel" "$version"
	mkdir -p "$dir/modules"
	module_list "$work/kernel/lib/modules/$version"
	echo "$version" >"$dir/version"
	mv "$work/kernel/boot/vmlinuz-$version" "$dir/vmlinuz.new"
	mv "$dir/vmlinuz.new" "$dir/vmlinuz"
}

# modules.dep has "a.ko: b.ko c.ko", where c.ko is to be loaded before b.ko
module_list() {
	local name line file tree=$1
	: >"$dir/modules/list"
	for name in $modules; do
		line=$(grep -E "/$name\.ko:" "$tree/modules.dep") || continue # built into this kernel
		for file in $(echo "$line" | tr -d : | tr ' ' '\n' | tac); do
			grep -qxF "${file##*/}" "$dir/modules/list" && continue
			cp "$tree/$file" "$dir/modules/"
			echo "${file##*/}" >>"$dir/modules/list"
		done
	done
}

make_initramfs() {
	local root=$work/root name
	[ "$(cat "$dir/stamp" 2>/dev/null)" = "$stamp" ] && [ -s "$dir/initrd.img" ] && return
	say "making the initramfs"
	mkdir -p "$root"/{bin,dev,proc,sys,tmp,etc,root,lib/modules}
	install -m 755 "$CACHE/busybox" "$root/bin/busybox"
	for name in $("$CACHE/busybox" --list); do
		[ "$name" = busybox ] || ln -s busybox "$root/bin/$name"
	done
	ln -s bin "$root/sbin"
	install -m 755 "$TOP/scripts/guest-init" "$root/init"
	cp "$dir"/modules/* "$root/lib/modules/"
	(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) >"$dir/initrd.new"
	mv "$dir/initrd.new" "$dir/initrd.img"
	echo "$stamp" >"$dir/stamp"
}

mkdir -p "$dir"
work=$(mktemp -d "$CACHE/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # apt-get's own user reads here
fetch_busybox
fetch_kernel
make_initramfs
echo "$dir"
