#!/bin/sh
# An agent behind a vsock port, reached by the kernel's own loopback (context id 1): `cargo xtask test --only vsock`, which
# runs this in a virtual machine, for the loopback is a module that not every host has.
#
# It passes the suite, learns the state that the agent in the orchestrator learns, enforces it, attests, and when it is
# killed nothing is allowed any more.
set -eu
folder=$PWD/target/release
suite=$folder/agent-conformance
[ -x "$suite" ] || suite=$PWD/target/debug/agent-conformance
work=$(mktemp -d)
export QUIXOTE_STATE_DIR="$work/state" QUIXOTE_RUNTIME_DIR="$work/run" QUIXOTE_TRUST_DIR="$work/trust" HOME="$work"
tma=vsock:1:4050

fail() {
	echo "vsock: $*" >&2
	exit 1
}

# The name's .ko lies packed or plain, by the kernel's version; a vsock that is built in is no file.
load() {
	module=$(find "/lib/modules/$(uname -r)/kernel/net/vmw_vsock" -name "$1.ko*" | head -n 1)
	case $module in
	*.xz) xz -dc "$module" >"$work/$1.ko" ;;
	*.ko) cp "$module" "$work/$1.ko" ;;
	*) fail "$(uname -r) has no module $1" ;;
	esac
	/run/quixote-vm/busybox insmod "$work/$1.ko" || fail "cannot load $1"
}
load vsock
load vmw_vsock_virtio_transport_common
load vsock_loopback

cd "$work"
mkdir tma
"$folder/quixote-tma" --listen "${tma%%:*}:${tma##*:}" --state tma &
agent=$!
tries=0
until "$folder/quixote" provision --tma $tma >provisioned 2>&1; do
	tries=$((tries + 1))
	if [ $tries -gt 200 ] || ! kill -0 $agent; then fail "not provisioned: $(cat provisioned)"; fi
	sleep 0.1
done

"$suite" --tma $tma || fail "the suite does not hold"

echo in >in
for where in orchestrator $tma; do
	"$folder/quixote" learn --quiet --tma $where -o "${where%%:*}.model" --summary "${where%%:*}.json" -- /bin/cat in >read
done
states=$(grep -ho '"state": *"[0-9a-f]*"' orchestrator.json vsock.json | sort -u | wc -l)
[ "$states" = 1 ] || fail "another state: $(cat orchestrator.json vsock.json)"
"$folder/quixote" enforce --quiet --tma $tma --allow-unsigned orchestrator.model -- /bin/cat in >read ||
	fail "a good run was denied"
[ "$(cat read)" = in ] || fail "the good run read something else"
if "$folder/quixote" enforce --quiet --tma $tma --allow-unsigned orchestrator.model -- /bin/cat /etc/hostname >read; then
	fail "what is outside the model was not denied"
fi
[ ! -s read ] || fail "what was denied took effect"

cat >waits <<'WORKLOAD'
echo >ready
until test -e go; do :; done
cat in
WORKLOAD
touch go
"$folder/quixote" learn --quiet -o waits.model -- /bin/sh waits >read
rm go ready
"$folder/quixote" enforce --tma $tma --name waits --allow-unsigned waits.model -- /bin/sh waits >read 2>told &
run=$!
until [ -e ready ]; do sleep 0.1; done
nonce=00112233445566778899aabbccddeeff
"$folder/quixote" attest waits --nonce $nonce -o attestation
"$folder/quixote" verify-attestation --nonce $nonce --allow-unsigned --model waits.model attestation ||
	fail "the attestation does not hold"
kill -9 $agent
touch go
if wait $run; then fail "the workload went on without its agent"; fi
grep -q agent told || fail "the loss of the agent was not told: $(cat told)"
[ ! -s read ] || fail "something was read without an agent"
echo "vsock: suite, verdicts, attestation and loss hold over $tma on $(uname -r)"
