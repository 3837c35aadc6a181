#!/bin/sh
# Runs a command in a network and with a /var/tmp of its own, beside another that takes the same ports and folders.
set -eu
own=$(mktemp -d /var/tmp/apart.XXXXXX)
chmod 1777 "$own"
trap 'rm -rf "$own"' EXIT
export own
unshare --net --mount sh -ec 'ip link set lo up; mount --bind "$own" /var/tmp; unset own; exec "$@"' sh "$@"
