#!/bin/sh
# Answers that nobody takes: `cargo xtask vm -- sh conformance/kernel_answers.sh`.
#
# A task of a learning namespace is killed while it waits for its answer, which is then given all the same. In the next namespace, which has
# the same slot, it lets nothing through: a workload that tries what its model does not hold hundreds of times never succeeds.
set -eu
program=${1-}
. conformance/kernel_here.sh

echo text > good
echo text > secret
echo text > late
mkfifo begin

# $1: what to read; how often it could be read is in `could`.
cat > trying <<'WORKLOAD'
could=0
for turn in $(seq 300); do
	if read -r line < "$1"; then could=$((could + 1)); fi
done 2> /dev/null
echo $could > could
WORKLOAD
# What it makes is asked about, so that the number of the answer is one that the other comes to within its tries.
cat > waiting <<'WORKLOAD'
for name in $(seq 50); do echo > made$name; done
echo $$ > process
read -r word < begin
read -r line < late
WORKLOAD

"$quixote" kernel load
"$quixote" learn --quiet --source kernel --accept-rules none --name trying -o trying.model -- /bin/sh trying good 2> learn.log ||
	fail "learning: $(cat learn.log)"
[ "$(cat could)" = 300 ] || fail "what is learned does not even work: $(cat could)"

"$quixote" learn --quiet --source kernel --accept-rules none --name waiting -o waiting.model -- /bin/sh waiting > waiting.log 2>&1 &
orchestrator=$!
exec 3> begin
stop $orchestrator
echo word >&3
exec 3>&-
sleep 2
kill -KILL "$(cat process)"
sleep 1
kill -CONT $orchestrator
wait $orchestrator || true
grep -q 'ended by signal 9' waiting.log || fail "the run did not come to its end: $(cat waiting.log)"

"$quixote" enforce --quiet --source kernel --allow-unsigned --on-violation deny --name trying trying.model -- /bin/sh trying secret > run.log 2>&1 ||
	true
[ "$(cat could)" = 0 ] || fail "what the model does not hold succeeded $(cat could) times"
grep -q ' 300 denied' run.log || fail "not everything was denied: $(cat run.log)"
unload
echo "kernel_answers: an answer that nobody took lets nothing through, on $(uname -r)"
