#!/bin/sh
# Names that no CELL takes: `cargo xtask vm -- sh conformance/kernel_names.sh`.
#
# Some file systems have names of more than 255 octets. Such a name is never taken for a shorter one: what happens under it
# is refused when enforcing, and counted as lost.
set -eu
program=${1-}
server=$PWD/conformance/kernel_files/any_name.py
. conformance/kernel_here.sh

mkdir names
/usr/bin/python3 "$server" names &
trap 'umount -l names' EXIT
for second in 1 2 3 4 5 6 7 8 9 10; do
	[ ! -e names/a ] || break
	sleep 1
done
# A name of $1 octets and one; cut to its length modulo 256, that of 256 and 512 is `a`.
long() {
	printf a
	head -c "$1" /dev/zero | tr '\0' b
}

for octets in 256 512; do
	[ "$(cat "names/$(long $octets)")" = content ] || fail "a name of $octets octets cannot even be read"
done

echo 'read -r line < "$1" && echo "$line"' > workload
"$quixote" learn --quiet --source kernel --accept-rules none --name names -o names.model -- /bin/sh workload names/a 2> learn.log > out ||
	fail "learning: $(cat learn.log)"
grep -q ' 0 lost' learn.log || fail "events were lost: $(cat learn.log)"
[ "$(cat out)" = content ] || fail "the workload does not read: $(cat out)"

# $1: the name.
enforced() {
	"$quixote" enforce --quiet --source kernel --allow-unsigned --on-violation deny --name names names.model -- \
		/bin/sh workload "names/$1" > out 2> run.log
}

enforced a || fail "a good run was denied: $(cat run.log)"
for octets in 256 512; do
	if enforced "$(long $octets)"; then
		fail "a name of $octets octets and one was taken for its beginning"
	fi
	! grep -q content out || fail "it was read all the same"
	grep -q ' 1 lost' run.log || fail "the refused event is not counted: $(cat run.log)"
done
unload
echo "kernel_names: a name of more than 255 octets is refused and counted, and taken for no other"
