# The first process of the guest, in its final root: the command with its two outputs on ports of
# their own, its status on a third, and the machine's end.

. /run/quixote-vm/session.sh

for port in /sys/class/virtio-ports/*; do
    read -r name <"$port/name"
    case $name in
    out) out=/dev/${port##*/} ;;
    err) err=/dev/${port##*/} ;;
    status) status=/dev/${port##*/} ;;
    esac
done

(
    cd "$FOLDER" || exit 126
    . /run/quixote-vm/environment.sh
    exec /run/quixote-vm/busybox setsid "$@"
) </dev/null >"$out" 2>"$err" &
wait $!
echo $? >"$status"
echo b >/proc/sysrq-trigger
while :; do sleep 60; done
