#!/bin/sh
# Builds the core for bare metal: no operating system, no std. An attribute does not prove that; this does.
#
# rustup's own toolchain has no such target, so the compiler and the sources of core and alloc are
# Debian's: rustc-web and rust-web-src. Without them this fails; it never skips.
set -eu

target=${1:-thumbv7m-none-eabi}
rustc=/usr/bin/rustc
root=$(cd "$(dirname "$0")/.." && pwd)

fail() {
    echo "bare_metal: $1" >&2
    exit 1
}

[ -x "$rustc" ] || fail "$rustc is missing: apt-get install rustc-web rust-web-src"
source=$("$rustc" --print sysroot)/lib/rustlib/src/rust/library
[ -d "$source/core" ] || fail "$source is missing: apt-get install rust-web-src"

cd "$root"
output=${CARGO_TARGET_DIR:-$root/target}/bare-metal
for features in "" json; do
    # RUSTC_BOOTSTRAP lets a stable compiler build core and alloc from source.
    RUSTC=$rustc RUSTC_BOOTSTRAP=1 RUSTC_WRAPPER='' RUSTFLAGS='' CARGO_TARGET_DIR=$output \
        cargo build --quiet --release -Zbuild-std=core,alloc --target "$target" \
        --package tsem --features "$features" || fail "tsem does not build for $target"
    [ -s "$output/$target/release/libtsem.rlib" ] || fail "no library came out"
    echo "bare_metal: tsem builds for $target, features: ${features:-none}"
done
