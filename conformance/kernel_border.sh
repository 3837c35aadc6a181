#!/bin/sh
# What no namespace reaches, whatever its model holds: `cargo xtask vm -- sh conformance/kernel_border.sh`.
#
# The workload learns, so every event of it is allowed; what it tries on its orchestrator and on the programs must
# fail all the same. Outside the namespace the same acts succeed, or the test says nothing.
set -eu
program=${1-}
. conformance/kernel_here.sh

# $1: the process to act on, $2: a map's id. Prints what was done to it.
cat > acts <<'ACTS'
kill -CONT "$1" && echo signal
prlimit --pid "$1" --core=0:0 && echo limit
dd if=/proc/"$1"/mem of=/dev/null bs=1 count=0 && echo memory
bpftool map dump pinned PINS/maps/orchestrators && echo map
bpftool map show id "$2" && echo map by id
mv PINS /sys/fs/bpf/other && mv /sys/fs/bpf/other PINS && echo rename
mkdir /sys/fs/bpf/quixote-like && rmdir /sys/fs/bpf/quixote-like && echo directory
exit 0
ACTS

"$quixote" kernel load
pins=$(echo /sys/fs/bpf/quixote-*)
sed -i "s|PINS|$pins|g" acts
id=$(bpftool map show pinned "$pins"/maps/answers | head -1 | cut -d: -f1)
sleep 1000 &
sh acts $! "$id" > outside 2> outside.log
kill $!
for act in signal limit memory map 'map by id' rename directory; do
	grep -qx "$act" outside || fail "'$act' does not even work outside a namespace: $(cat outside outside.log)"
done

cat > workload <<WORKLOAD
sh acts \$PPID "\$1" > inside 2> inside.log
rm -r $pins
umount /sys/fs/bpf
echo done >> inside
WORKLOAD
"$quixote" learn --quiet --source kernel -o border.model -- /bin/sh workload "$id" 2> learn.log || true
[ "$(cat inside)" = done ] || fail "inside a namespace: $(cat inside inside.log learn.log)"
"$quixote" kernel status | grep -q attached || fail "the programs are gone"
grep -q ' task_kill target=outside signal=18' border.model || fail "the signal is not in the record: $(cat border.model)"
unload
echo "kernel_border: orchestrator and programs are out of reach on $(uname -r)"
