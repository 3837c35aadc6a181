#!/bin/sh
# Builds an agent that runs without an operating system, and prints where it is, its size and its SHA-256.
#
#   agents/build.sh stubdomain          a guest image, x86_64
#   agents/build.sh mcu lm3s6965evb     firmware for 64 KiB of RAM; QEMU emulates the board
#   agents/build.sh mcu mps2-an385      firmware for 256 KiB of RAM; QEMU emulates the board
#   agents/build.sh mcu nrf52840dk      firmware for a real board
#
# rustup's own toolchain has no such targets, so the compiler and the sources of core and alloc are Debian's:
# rustc-web and rust-web-src, with its linker, lld-19. The same sources in the same folder give the same octets.
# Elsewhere cargo names crates otherwise: the firmware differs in its symbols alone, the stub domain in the order of its functions.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
rustc=/usr/bin/rustc
linker=/usr/bin/ld.lld-19

fail() {
    echo "build: $1" >&2
    exit 1
}

[ -x "$rustc" ] && [ -d "$("$rustc" --print sysroot)/lib/rustlib/src/rust/library/core" ] ||
    fail "compiler and sources are missing: apt-get install rustc-web rust-web-src"
[ -x "$linker" ] || fail "$linker is missing: apt-get install lld-19"

# No path of this machine is in the image: the same sources are the same image.
flags="-C linker=$linker -C linker-flavor=ld.lld --remap-path-prefix=$root=/quixote"
flags="$flags --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"

case ${1:-} in
    stubdomain)
        set --
        folder=stubdomain target=x86_64-unknown-none binary=stubdomain
        flags="$flags -C relocation-model=static -C code-model=small -C link-arg=-Tlayout.ld -C link-arg=--build-id=none"
        flags="$flags --cfg curve25519_dalek_backend=\"serial\" --cfg chacha20_force_soft --cfg poly1305_force_soft"
        ;;
    mcu)
        board=${2:-lm3s6965evb}
        [ -d "$root/agents/mcu/boards/$board" ] || fail "no board is named $board"
        folder=mcu target=thumbv7m-none-eabi binary=mcu
        flags="$flags -C link-arg=--build-id=none"
        set -- --features "$board"
        ;;
    *) fail "no agent is named ${1:-nothing}; the head of this script names them" ;;
esac

cd "$root/agents/$folder"
output=${CARGO_TARGET_DIR:-$root/target}/agents
# RUSTC_BOOTSTRAP lets a stable compiler build core and alloc from source.
RUSTC=$rustc RUSTC_BOOTSTRAP=1 RUSTC_WRAPPER='' RUSTFLAGS=$flags CARGO_TARGET_DIR=$output \
    cargo build --quiet --release --locked -Zbuild-std=core,alloc --target "$target" "$@"
image=$output/$target/release/$binary
if [ -n "${board:-}" ]; then
    cp "$image" "$image-$board"
    image=$image-$board
fi
echo "$image $(stat -c %s "$image") $(sha256sum "$image" | cut -d' ' -f1)"
