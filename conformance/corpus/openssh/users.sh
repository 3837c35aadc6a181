#!/bin/bash
# WORKDIR: commands, a login with a terminal, files by scp and sftp, and someone who may not come in.
set -euo pipefail
. "$(dirname "$0")/../service_users.sh"
workdir=$1
client=$workdir/client
login=$(<"$client/login")
options=(-F none -i "$client/id" -o IdentitiesOnly=yes -o UserKnownHostsFile="$client/known_hosts" -o BatchMode=yes -o ConnectTimeout=20 -o LogLevel=ERROR)
remote() { ssh "${options[@]}" -p 10022 "$login@127.0.0.1" "$@"; }

users_open openssh "$workdir"
await remote true

expect 'a command' "$login" "$(remote 'id -un')"
expect 'exit status' 7 "$(remote 'exit 7' || echo $?)"
expect 'standard input' 'six words go in and out' "$(echo 'six words go in and out' | remote cat)"
# An sshd that is not root can only make terminals where devpts is mounted for it.
if [ "$(id -u)" -eq 0 ]; then
    printf 'tty -s && echo terminal-$((40 + 2))\nexit\n' | remote -tt >"$client/terminal"
    expect 'a login with a terminal' yes "$(grep -q 'terminal-42' "$client/terminal" && echo yes)"
fi

head -c 300000 /dev/urandom >"$client/up"
scp -q "${options[@]}" -P 10022 "$client/up" "$login@127.0.0.1:$workdir/home/file"
expect 'file copied there' "$(sha256sum <"$client/up")" "$(remote "cat $workdir/home/file" | sha256sum)"
scp -q "${options[@]}" -P 10022 "$login@127.0.0.1:$workdir/home/file" "$client/down"
expect 'file copied back' "$(sha256sum <"$client/up")" "$(sha256sum <"$client/down")"
expect 'a stranger' refused "$(ssh "${options[@]/"$client/id"/"$client/stranger"}" -p 10022 "$login@127.0.0.1" true 2>/dev/null || echo refused)"

for n in 1 2 3; do remote "echo $n" >"$client/out.$n" & done
wait
expect 'logins at once' '1 2 3' "$(cat "$client"/out.[123] | tr '\n' ' ' | sed 's/ $//')"

order reload
await remote true
expect 'a command after reload' "$login" "$(remote 'id -un')"

order stop
trap - EXIT
expect 'login after the end' refused "$(remote true 2>/dev/null || echo refused)"
passed
