#!/usr/bin/env bash
# Type-checks core and the portable source for aarch64, on any Debian machine.
#
# rustup's std for another target cannot be had everywhere. Debian packages rustc-web together with a
# std for arm64, compiled by the same compiler version: the compiler is installed (`cargo xtask setup`),
# the arm64 std is only unpacked into the build folder, with lists of its own, so that the machine gets
# no foreign architecture. Whatever cannot be had fails; nothing is skipped here.
set -euo pipefail

target=aarch64-unknown-linux-gnu
rustc=/usr/bin/rustc
root=$(cd "$(dirname "$0")/.." && pwd)
work=${CARGO_TARGET_DIR:-$root/target}/aarch64-check
std_package=libstd-rust-web-dev

fail() { echo "aarch64_check: $*" >&2; exit 1; }

[ -x "$rustc" ] || fail "$rustc is not here: apt-get install rustc-web"
version=$(dpkg-query --show --showformat='${Version}' rustc-web) || fail "rustc-web is not installed"
mkdir -p "$work"
work=$(cd "$work" && pwd)
sysroot=$work/$version/usr

fetch_std() {
	local apt=$work/apt
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$work/$version"
	cat >"$apt/apt.conf" <<-EOF
		APT::Architectures { "$(dpkg --print-architecture)"; "arm64"; };
		Dir::State::lists "$apt/lists";
		Dir::Cache "$apt/cache";
		APT::Sandbox::User "root";
		Acquire::Retries "5";
	EOF
	export APT_CONFIG=$apt/apt.conf
	apt-get -qq update
	# The same version as the compiler: metadata of another one is refused by rustc.
	(cd "$apt" && apt-get -qq download "$std_package:arm64=$version")
	dpkg-deb --extract "$apt/$std_package"_*_arm64.deb "$work/$version"
	rm -rf "$apt"
	unset APT_CONFIG
}

if ! [ -d "$sysroot/lib/rustlib/$target/lib" ]; then
	rm -rf "$work/$version"
	fetch_std || fail "the std for $target cannot be fetched ($std_package:arm64=$version)"
fi

cd "$root"
env RUSTC="$rustc" RUSTC_WRAPPER= RUSTFLAGS="--sysroot $sysroot" CARGO_TARGET_DIR="$work/build" \
	cargo check --quiet --target "$target" -p tsem -p portable-source
echo "aarch64_check: tsem and portable-source check for $target with $("$rustc" --version)"
