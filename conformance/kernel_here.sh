# Sourced, with /bin/sh -eu and in the checkout, by the scripts that run under a kernel with BPF LSM.
#
# `program`: what quixote was built to, from here; the release build where it is empty or there is none. Gives `quixote`, a fresh
# directory `folder`, which is the home and where everything happens from then on, `fail` to end with a word,
# `stop`, `same_coefficients` and `unload`.
quixote=$PWD/${program:-target/release/quixote}
[ -x "$quixote" ] || quixote=$PWD/target/debug/quixote
script=$(basename "$0" .sh)
folder=$(mktemp -d)
cd "$folder"
export HOME="$folder" XDG_RUNTIME_DIR="$folder" PATH=/usr/sbin:/usr/bin:/sbin:/bin

fail() {
	echo "$script: $*" >&2
	exit 1
}

# Stops process $1: the signal is taken by one thread first, so a look shows when all stand.
stop() {
	kill -STOP "$1"
	for _ in $(seq 100); do
		[ -n "$(grep -L '^State:.T' /proc/"$1"/task/*/status)" ] || return 0
		sleep 0.1
	done
	fail "process $1 does not stop"
}

# Fails unless the models $1 and $2 have the same coefficients, and many.
same_coefficients() {
	for model in "$1" "$2"; do
		grep -E '^[0-9a-f]{64} ' "$model" > "$folder/$(basename "$model").coefficients"
	done
	set -- "$folder/$(basename "$1").coefficients" "$folder/$(basename "$2").coefficients"
	[ "$(wc -l < "$1")" -gt 80 ] || fail "too few events: $(cat "$1")"
	diff "$1" "$2" || fail "the sources differ"
}

# Unloads the programs, which leaves nothing; not where another script follows that wants them.
unload() {
	[ -z "${KEEP_LOADED:-}" ] || return 0
	"$quixote" kernel unload
	[ -z "$(ls /sys/fs/bpf)" ] || fail "unloading leaves pins: $(ls /sys/fs/bpf)"
}
