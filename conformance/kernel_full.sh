#!/bin/sh
# The profile `full`, on the kernel that runs: `cargo xtask vm -- sh conformance/kernel_full.sh`.
#
# A model of it holds what only the kernel source sees, is enforced without a denial, and denies what is outside
# it. A namespace of `core` beside it has none of this. What a kernel lacks is named, and refused when enforcing.
set -eu
program=${1-}
. conformance/kernel_here.sh

cat > workload <<'WORKLOAD'
set -e
ls -l /etc/hostname > /dev/null
echo x > file; flock file true; stat file > /dev/null; truncate -s 0 file; rm file
nice -n -1 true
ipcs > /dev/null
(sleep 0)
WORKLOAD

learn() {
	name=$1
	shift
	"$quixote" learn --quiet --source kernel --accept-rules none --summary "$name.json" -o "$name.model" "$@" \
		-- /bin/sh workload 2> "$name.log" || fail "$(cat "$name.log")"
	grep -q ' 0 lost' "$name.log" || fail "events were lost: $(cat "$name.log")"
}

# What an overlay (our root) looks up on its layers where it has nothing in memory is nothing that the workload does.
learn full --profile full
echo 3 > /proc/sys/vm/drop_caches
learn full --profile full
grep -q ', 0 new,' full.log || fail "the second run was another: $(cat full.log)"
echo 3 > /proc/sys/vm/drop_caches
for event in inode_getattr file_fcntl file_lock task_setnice capable sb_statfs ipc_permission; do
	case $event in
	sb_statfs | ipc_permission) ;; # not every version of these programs asks
	*) grep -q " $event " full.model || fail "no $event in the model" ;;
	esac
done
grep -q '^profile full$' full.model || fail "the model does not say its profile"
"$quixote" enforce --quiet --source kernel --allow-unsigned full.model -- /bin/sh workload ||
	fail "a good run was denied"
if "$quixote" enforce --quiet --source kernel --allow-unsigned full.model -- /bin/sh -c 'test -e /etc/passwd'; then
	fail "attributes that the model does not hold were read"
fi

learn core
! grep -qE ' (inode_getattr|file_fcntl|capable) ' core.model || fail "a model of core holds more"
if "$quixote" enforce --quiet --source portable --allow-unsigned full.model -- /bin/sh workload 2> portable.log; then
	fail "the portable source enforces what it does not see"
fi
grep -q 'kernel source does' portable.log || fail "no reason: $(cat portable.log)"
if "$quixote" learn --quiet --source kernel --profile core -o full.model -- /bin/true 2> other.log; then
	fail "a model changes its profile"
fi
grep -q "profile 'full'" other.log || fail "no reason: $(cat other.log)"

# What this kernel lacks. A model without that note was learned where nothing lacks.
missing=$("$quixote" kernel status | sed -n 's/^hooks that this kernel lacks: //p')
sed 's/^\(learned-on .*\) without hooks .*/\1/' full.model > everything.model
sed 's/^learned-on .*/& without hooks file_truncate/' everything.model > nothing.model
enforce() {
	"$quixote" enforce --quiet --source kernel --allow-unsigned "$@" -- /bin/sh workload
}
if [ -n "$missing" ]; then
	grep -q "^learned-on .* without hooks $missing$" full.model || fail "the model hides what is missing: $missing"
	grep -q '"degraded: ' full.json || fail "the summary hides what is missing"
	! enforce everything.model 2> refused.log || fail "hooks are missing, and it is enforced"
	grep -q "hooks that this kernel lacks" refused.log || fail "no reason: $(cat refused.log)"
	enforce --allow-missing-hooks everything.model || fail "it is not enforced where the user says so"
	"$quixote" monitor --quiet --source kernel --allow-unsigned everything.model -- /bin/sh workload || fail "monitor"
else
	! grep -q ' without hooks ' full.model || fail "nothing is missing, and the model says so"
	! grep -q '"degraded: ' full.json || fail "nothing is missing, and the summary says so"
	enforce --name more nothing.model 2> more.log || true
	grep -q 'learned without these hooks.*file_truncate' more.log || fail "no word of it: $(cat more.log)"
fi

unload
echo "kernel_full: learned and enforced on $(uname -r), which lacks: ${missing:-nothing}"
