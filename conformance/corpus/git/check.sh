#!/bin/bash
# WORKDIR: three repositories that agree.
set -euo pipefail
workdir=$1
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=$workdir/gitconfig
head_of() { /usr/bin/git -C "$1" rev-parse main; }

[ "$(head_of "$workdir/project")" = "$(head_of "$workdir/clone")" ]
[ "$(head_of "$workdir/project")" = "$(head_of "$workdir/server.git")" ]
[ "$(/usr/bin/git -C "$workdir/project" rev-list --count main)" = 8 ]
[ -z "$(/usr/bin/git -C "$workdir/project" status --short)" ]
/usr/bin/git -C "$workdir/server.git" fsck --strict --no-progress
[ "$(tail -1 "$workdir/clone/README")" = 'from the clone 509' ]
echo 'ok git'
