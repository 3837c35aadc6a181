#!/bin/bash
# WORKDIR ACCOUNT: host keys, a user's key, and sshd's configuration.
#
# As root, sshd lets another account in, with PAM, privilege separation and a change of user, as on any server. As an
# ordinary account it can only let that account in.
set -euo pipefail
. "$(dirname "$0")/../fresh_workdir.sh"
workdir=$1 account=$2

login=$account pam=no
if [ "$account" = root ]; then
    login=quixote-login pam=yes
    id "$login" >/dev/null 2>&1 || useradd --system --password '*' --shell /bin/bash --home-dir "$workdir/home" "$login"
    mkdir -p -m 755 /run/sshd
fi

fresh_workdir "$workdir" "$account"
fresh_orders "$workdir"
mkdir -m 755 "$workdir/home" "$workdir/keys"
mkdir -m 700 "$workdir/client"
ssh-keygen -q -t ed25519 -N '' -C host -f "$workdir/host_ed25519"
ssh-keygen -q -t ed25519 -N '' -C user -f "$workdir/client/id"
ssh-keygen -q -t ed25519 -N '' -C stranger -f "$workdir/client/stranger"
cp "$workdir/client/id.pub" "$workdir/keys/$login"
chmod 644 "$workdir/keys/$login"
printf '[127.0.0.1]:10022 %s\n' "$(<"$workdir/host_ed25519.pub")" >"$workdir/client/known_hosts"
printf '%s\n' "$login" >"$workdir/client/login"
cat >"$workdir/sshd_config" <<CONF
ListenAddress 127.0.0.1:10022
HostKey $workdir/host_ed25519
PidFile $workdir/sshd.pid
AuthorizedKeysFile $workdir/keys/%u
UsePAM $pam
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
Subsystem sftp /usr/lib/openssh/sftp-server
# /var/tmp, where the keys lie, may be written by others (sticky); sshd would refuse it.
StrictModes no
CONF
hand_over "$workdir" "$account"
[ "$account" != root ] || chown -R "$login:" "$workdir/home"
