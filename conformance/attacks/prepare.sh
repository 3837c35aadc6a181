#!/bin/bash
# WORKDIR ACCOUNT: the victim's site, its two own programs with a library, and what an attacker brings along.
set -euo pipefail
here=$(dirname "$0")
. "$here/../corpus/fresh_workdir.sh"
workdir=$1 account=$2
compile() { gcc -O1 -Wall -Wextra -Werror "$@"; }

fresh_workdir "$workdir" "$account"
fresh_orders "$workdir"
mkdir -p "$workdir"/{data,uploads,bin,lib,attacker,private,etc/cron.d,home/.ssh}
printf 'first\nsecond\nthird\n' >"$workdir/data/a.txt"
printf 'another page\n' >"$workdir/data/b.txt"
printf '#!/bin/sh\necho "script under ${BASH_VERSION:+bash}${BASH_VERSION:-sh}"\n' >"$workdir/bin/report.sh"
printf 'ssh-ed25519 AAAA owner\n' >"$workdir/home/.ssh/authorized_keys"
printf 'root:$y$secret:19000:0:99999:7:::\n' >"$workdir/private/shadow"
: >"$workdir/sibling.address"
: >"$workdir/uploads/note.txt"
: >"$workdir/uploads/plugin.bin"

# Compiling takes long on an emulated machine: once, until what is compiled is newer.
built=$workdir.programs
if [ -z "$(find "$built/complete" -newer "$0" 2>/dev/null)" ] || [ -n "$(find "$here/programs" -newer "$built/complete")" ]; then
    rm -rf -- "$built"
    mkdir -- "$built"
    compile -shared -fPIC -o "$built/libplugin.so" "$here/programs/plugin.c"
    compile -o "$built/tool" "$here/programs/tool.c" -L"$built" -lplugin -Wl,-rpath,"$workdir/lib"
    compile -o "$built/sibling" "$here/programs/sibling.c"
    compile -static -o "$built/intruder" "$here/programs/intruder.c"
    compile -shared -fPIC -o "$built/preload.so" "$here/programs/preload.c"
    : >"$built/complete"
fi
cp -- "$built/libplugin.so" "$workdir/lib"
cp -- "$built/tool" "$built/sibling" "$workdir/bin"
cp -- "$built/intruder" "$built/preload.so" "$workdir/attacker"

chmod 755 "$workdir/bin/report.sh" "$workdir/uploads/plugin.bin"
chmod 700 "$workdir/home/.ssh" "$workdir/private"
chmod 600 "$workdir/home/.ssh/authorized_keys" "$workdir/private/shadow"
hand_over "$workdir" "$account"
