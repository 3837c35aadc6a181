#!/bin/sh
# A kernel on which the kernel source does not work: who wants it is told why and what to do, and `--source auto` takes the other.
#
#     cargo xtask vm --kernel 6.1 --append lsm=landlock,lockdown,yama,apparmor -- sh conformance/kernel_refused.sh target/release/quixote 'bpf is not in the LSM list'
#     cargo xtask vm --append lockdown=confidentiality -- sh conformance/kernel_refused.sh target/release/quixote 'confidentiality: BPF may not read the kernel'
#     cargo xtask vm -- sh conformance/kernel_refused.sh target/release/quixote 'attaching to bpf_lsm_file_open .*as many programs as it can hold'
#     cargo xtask vm --kernel 6.1 --append preempt=full -- sh conformance/kernel_refused.sh target/release/quixote 'preempted everywhere'
#
# $2: what `doctor` has to say of the kernel as it was booted, or, of a full hook, when others' programs hold it. Then of
# the same kernel without its types.
set -eu
program=${1-}
expected=$2
checkout=$PWD
attachable=no
next='quixote doctor says what the kernel source needs'
. conformance/kernel_here.sh

# $1: what `doctor` says is wrong.
refused() {
	"$quixote" doctor > doctor.log || fail "quixote works here all the same, by the other source: $(cat doctor.log)"
	grep -A1 "^limited  kernel source: .*$1" doctor.log | grep -q '^ *mend: .' || fail "'$1' with a mend is not in: $(cat doctor.log)"
	[ "$attachable" = yes ] || grep -q '^limited  kernel source: attaching a program' doctor.log || fail "a program can be attached: $(cat doctor.log)"
	told kernel load
	told learn --source kernel -o refused.model -- true
	! [ -e refused.model ] || fail "a model was learned"
	"$quixote" learn --source auto -o auto.model -- true 2> auto.log || fail "without the kernel source: $(cat auto.log)"
	grep -q '^quixote: .*events come from the portable source: .' auto.log || fail "nobody says which source it is: $(cat auto.log)"
	grep -q '^model auto.model: ' auto.log || fail "nothing was learned: $(cat auto.log)"
	! grep libbpf auto.log || fail "a library writes by itself"
}

# What fails and says so in two lines.
told() {
	status=0
	"$quixote" "$@" > out 2> told.log || status=$?
	[ $status = 125 ] || fail "$* ends with $status: $(cat told.log)"
	sed -n 2p told.log | grep -qx "  next: $next" || fail "$* does not say what to do: $(cat told.log)"
	[ "$(wc -l < told.log)" = 2 ] || fail "$* says more than that: $(cat told.log)"
}

# Others' programs, $1 of them, hold the hook until descriptor 9 is closed.
hold() {
	rm -f hold
	mkfifo hold
	/usr/bin/python3 "$checkout/conformance/hold_hook.py" file_open "$1" < hold > held.log 2>&1 &
	holder=$!
	exec 9> hold
	for _ in $(seq 300); do
		! grep -qx held held.log || return 0
		kill -0 "$holder" || break
		sleep 0.2
	done
	fail "the hook is not held: $(cat held.log)"
}

let_go() {
	exec 9>&-
	wait "$holder" || fail "what held the hook failed: $(cat held.log)"
}

case $expected in
*'as many programs'*)
	"$quixote" doctor | grep -q '^good     kernel source: attaching' || fail "nothing can be attached before the hook is full"
	hold 38
	next='see whose they are (bpftool link list), and end some: a hook holds 38'
	refused "$expected"
	next='quixote doctor says what the kernel source needs'
	let_go
	# What the mend asks for is enough: one place.
	hold 37
	"$quixote" kernel load > load.log || fail "nothing is loaded where the hook has a place: $(cat load.log)"
	"$quixote" doctor | grep -q '^good     kernel source: attaching' || fail "a hook that ours have filled is told of as a fault"
	unload
	let_go
	;;
*preempted*)
	attachable=yes
	refused "$expected"
	;;
*) refused "$expected" ;;
esac
attachable=no
# The verifier's log is there for who asks for it, where it comes so far.
case $expected in
*BPF*) QUIXOTE_LOG=dev=warn "$quixote" kernel load 2>&1 | grep -q 'cannot use helper bpf_probe_read' || fail "the verifier is not heard" ;;
esac
mount -t tmpfs none /sys/kernel/btf
refused 'types of the kernel (BTF)'
echo "kernel_refused: '$expected' is told, with its mend, on $(uname -r)"
