#!/bin/sh
# Builds quixote with other BPF programs than it has: target/xtask/quixote-other-programs, for run_kernel_upgrade.py.
#
# They do the same; a word that nothing reads makes them others, with other octets.
set -eu
mkdir -p target/xtask
QUIXOTE_PROGRAMS_SALT=other cargo build --release --package quixote
cp target/release/quixote target/xtask/quixote-other-programs
