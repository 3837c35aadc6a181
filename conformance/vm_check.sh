# What every test in the virtual machine takes for granted; run in it by `cargo xtask test --only vm`.
set -eu

fail() {
    echo "vm: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "not root"
tr , '\n' </sys/kernel/security/lsm | grep -qx bpf || fail "the BPF LSM is not active"
[ -r /sys/kernel/btf/vmlinux ] || fail "no BTF"
[ -f core/src/event_table.rs ] || fail "the checkout is not here"
for type in proc sysfs devtmpfs devpts securityfs bpf debugfs tracefs cgroup2; do
    grep -q "^[^ ]* [^ ]* $type " /proc/mounts || fail "no $type is mounted"
done
case $(uname -r) in
6.1.* | 6.12.*) ;;
*) fail "an unexpected kernel: $(uname -r)" ;;
esac

# The guest changes nothing on the host: it writes to its overlay in memory, and only there.
echo guest >core/guest-was-here
grep -q guest core/guest-was-here || fail "the overlay does not hold what was written"
# Loopback is all the network there is.
[ "$(ls /sys/class/net)" = lo ] || fail "there is a network"
echo "vm: $(uname -r): BPF LSM active, BTF, mounts, overlay, loopback only"
