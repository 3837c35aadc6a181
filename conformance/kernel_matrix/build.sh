#!/bin/sh
# Builds triggers and workloads, on the host: the guest only runs them. Static, so that a program's own
# start makes as few events as can be. $1: the folder to put them in.
set -eu
here=$(dirname "$0")
mkdir -p "$1"
flags="-static -O1 -Wall -Wextra -Werror -Wno-missing-field-initializers"
gcc $flags -o "$1/triggers" "$here"/*.c
gcc $flags -o "$1/storm" "$here/workloads/storm.c"
gcc $flags -o "$1/direct" "$here/workloads/direct.c"
