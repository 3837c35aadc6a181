#!/bin/sh
# Scripts of this folder in one boot: `cargo xtask vm -- sh conformance/kernel_together.sh PROGRAM kernel_source kernel_border`.
#
# The programs are loaded once, which takes long where everything is emulated, and at the end they can be unloaded.
set -eu
program=$1
shift
/usr/bin/python3 conformance/kernel_matrix/in_memory.py /dev/shm/kept sh bash cat chmod chroot cp cut dd grep head kill ln ls mkdir mv perl \
	python3 rm rmdir sed sleep setpriv touch true
for script; do
	KEEP_LOADED=yes sh "conformance/$script.sh" "$program"
done
. conformance/kernel_here.sh
unload
