#!/bin/sh
# A kernel on which the kernel source does not work: who wants it is told why and what to do, and `--source auto` takes the other.
#
#     cargo xtask vm --kernel 6.1 --append lsm=landlock,lockdown,yama,apparmor -- sh conformance/kernel_refused.sh target/release/quixote 'bpf is not in the LSM list'
#     cargo xtask vm --append lockdown=confidentiality -- sh conformance/kernel_refused.sh target/release/quixote 'confidentiality: BPF may not read the kernel'
#
# $2: what `doctor` has to say of the kernel as it was booted. Then of the same kernel without its types.
set -eu
program=${1-}
expected=$2
. conformance/kernel_here.sh

# $1: what `doctor` says is wrong.
refused() {
	"$quixote" doctor > doctor.log || fail "quixote works here all the same, by the other source: $(cat doctor.log)"
	grep -A1 "^limited  kernel source: .*$1" doctor.log | grep -q '^ *mend: .' || fail "'$1' with a mend is not in: $(cat doctor.log)"
	grep -q '^limited  kernel source: attaching a program' doctor.log || fail "a program can be attached: $(cat doctor.log)"
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
	sed -n 2p told.log | grep -qx '  next: quixote doctor says what the kernel source needs' || fail "$* does not say what to do: $(cat told.log)"
	[ "$(wc -l < told.log)" = 2 ] || fail "$* says more than that: $(cat told.log)"
}

refused "$expected"
# The verifier's log is there for who asks for it, where it comes so far.
case $expected in
*BPF*) QUIXOTE_LOG=dev=warn "$quixote" kernel load 2>&1 | grep -q 'cannot use helper bpf_probe_read' || fail "the verifier is not heard" ;;
esac
mount -t tmpfs none /sys/kernel/btf
refused 'types of the kernel (BTF)'
echo "kernel_refused: '$expected' is told, with its mend, on $(uname -r)"
