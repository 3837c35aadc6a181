#!/bin/busybox sh
# The first process of the guest, from the initramfs: the host's root as the lower layer of an
# overlay whose upper layer is memory, what a system has mounted, loopback, then over to guest.sh.
#
# All by one static program in memory: the host's own programs are read from the host page by page.

fail() {
    echo "quixote-vm: $*" >/dev/console
    echo o >/proc/sysrq-trigger
    sleep 60
}

/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc || fail "no /proc"
mount -t devtmpfs dev /dev || fail "no /dev"

while read -r module; do
    insmod "/modules/$module" || fail "cannot load $module"
done </modules/order

for word in $(cat /proc/cmdline); do
    case $word in
    quixote.session=*) session=${word#*=} ;;
    esac
done

mount -t virtiofs -o ro host /lower || fail "cannot mount the host's root"
mount -t tmpfs -o mode=755,size=80% memory /upper || fail "no tmpfs"
mkdir /upper/files /upper/work
# The host may make accounts meanwhile, by putting other files in place of these, which an overlay does not live through.
mkdir -m 755 /upper/files/etc
for file in passwd group shadow gshadow subuid subgid; do
    [ ! -e "/lower/etc/$file" ] || cp -p "/lower/etc/$file" /upper/files/etc || fail "cannot copy $file"
done
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work root /root ||
    fail "no overlay"
mount -t tmpfs -o mode=755 run /root/run || fail "no /run"
mkdir /root/run/quixote-vm
cp "/lower$session"/* /root/run/quixote-vm || fail "the session $session is not on the host's root"
cp /bin/busybox /root/run/quixote-vm/busybox
. /root/run/quixote-vm/session.sh

mount_at() { # type, place, options: part of every system, so its lack is an error
    mkdir -p "/root$2"
    mount -t "$1" ${3:+-o "$3"} "$1" "/root$2" || fail "cannot mount $1 on $2"
}
mount_at proc /proc
mount_at sysfs /sys
mount_at devtmpfs /dev
mount_at devpts /dev/pts mode=620,ptmxmode=666
mount_at tmpfs /dev/shm mode=1777
mount_at mqueue /dev/mqueue
mount_at securityfs /sys/kernel/security
mount_at bpf /sys/fs/bpf
mount_at debugfs /sys/kernel/debug
mount_at tracefs /sys/kernel/tracing
mount_at cgroup2 /sys/fs/cgroup
[ "$KEEP_TMP" = yes ] || mount_at tmpfs /tmp mode=1777
ln -sf /proc/self/fd /root/dev/fd
ln -sf /proc/self/fd/0 /root/dev/stdin
ln -sf /proc/self/fd/1 /root/dev/stdout
ln -sf /proc/self/fd/2 /root/dev/stderr
modules=/root/lib/modules/$(uname -r)
mkdir -p "$modules"
mount --bind "/root$MODULES" "$modules" || fail "no modules"
hostname quixote-vm
ip link set lo up || fail "no loopback"

umount /dev
umount /proc
exec switch_root /root /run/quixote-vm/busybox sh /run/quixote-vm/guest.sh
