#!/bin/sh
# The trusted modeling agent in the kernel: `cargo xtask vm -- sh conformance/kernel_agent.sh`.
#
# What a model knows exactly is decided in the kernel: it goes on while the orchestrator stands still, and after the orchestrator was killed.
# What is outside the model does not take effect then. With an agent that has to see every event nothing goes on meanwhile.
set -eu
program=${1-}
. conformance/kernel_here.sh
# The kernel keeps the digests of its files from the first use on; in a layer of the root's only of such as stood still for a while.
mount -t tmpfs agent "$folder"
cd "$folder"
mkdir bin
for program in sh cat mkdir mv rm sleep; do cp /bin/busybox "bin/$program"; done

# Begins when it is told to; does what there is in a file of its own, where there is one.
cat > workload <<'WORKLOAD'
set -e
PATH=$HOME/bin
read word < begin
cat /etc/hostname > /dev/null
mkdir inner; echo x > inner/file; mv inner/file inner/moved; rm -r inner
[ ! -e extra ] || . ./extra
(sleep 0)
echo > finished
WORKLOAD
mkfifo begin

# $1 to $n: how to run it; `orchestrator` is who does.
begin() {
	rm -f finished breach
	"$quixote" enforce --quiet --source kernel --allow-unsigned --name agent "$@" agent.model -- "$folder/bin/sh" workload 2> run.log &
	orchestrator=$!
	# The workload opens its end once it has come so far.
	exec 3> begin
}

# As begin, with a `guardian`; `first` is the workload's first process.
begin_guarded() {
	begin --on-crash kill
	guardian=$orchestrator
	orchestrator=$(pgrep -P $guardian)
	first=$(pgrep -P $orchestrator)
}

go() {
	echo word >&3
	exec 3>&-
}

# Whether the workload comes to its end within $1 tenths of a second.
finishes() {
	for _ in $(seq "$1"); do
		[ ! -e finished ] || return 0
		sleep 0.1
	done
	return 1
}

# Whether process $1 comes to its end, and is waited for or not.
ends() {
	for _ in $(seq 300); do
		grep -q '^State:.[^Z]' "/proc/$1/status" 2> /dev/null || return 0
		sleep 0.1
	done
	return 1
}

"$quixote" kernel load
(sleep 1; echo word > begin) &
"$quixote" learn --quiet --source kernel --runs 1 --accept-rules none -o agent.model -- "$folder/bin/sh" workload 2> learn.log ||
	fail "learning: $(cat learn.log)"
state=$("$quixote" model show --json agent.model | grep -o '"state": *"[0-9a-f]*"' | grep -oE "[0-9a-f]{64}")

begin
stop $orchestrator
go
finishes 300 || fail "what the model knows waits for the orchestrator"
kill -CONT $orchestrator
wait $orchestrator || fail "a good run was denied: $(cat run.log; "$quixote" show agent forensics)"
grep -q ' 0 lost' run.log || fail "events were lost: $(cat run.log)"
grep -q "state $state" run.log || fail "what the kernel decided is missing in the state $state: $(cat run.log)"

begin --tma process
stop $orchestrator
go
! finishes 50 || fail "an agent that has to see every event was passed by"
kill -CONT $orchestrator
wait $orchestrator || fail "with an agent as process: $(cat run.log)"

echo 'echo > breach' > extra
begin
kill -KILL $orchestrator
wait $orchestrator || true
go
! finishes 50 || fail "the workload went on after what is outside its model"
[ ! -e breach ] || fail "what is outside the model took effect without an orchestrator"
rm extra

begin
kill -KILL $orchestrator
wait $orchestrator || true
go
finishes 300 || fail "without an orchestrator the model does not hold any more"
# Nothing outlives it where that is asked for, not even what makes no event.
begin_guarded
kill -0 $first
kill -KILL $orchestrator
status=0
wait $guardian || status=$?
[ $status = 137 ] || fail "its guardian ends with $status, and not as it did"
! kill -0 $first 2> kill.log || fail "the workload outlives its orchestrator"
exec 3>&-
grep -q "was killed by signal 9; what was left" run.log || fail "nobody says that the workload was ended: $(cat run.log)"

# Without the guardian neither, nor what was only forked and makes no event; and there is a record then.
"$quixote" learn --quiet --source kernel --on-crash kill --name forked -o forked.model -- /usr/bin/python3 -c '
import os, time
child = os.fork()
if child:
    print(child, file=open("forked.new", "w"), flush=True)
    os.rename("forked.new", "forked")
time.sleep(1000)' 2> run.log &
guardian=$!
for _ in $(seq 600); do
	[ ! -e forked ] || break
	sleep 0.1
done
kill -0 "$(cat forked)"
kill -KILL $guardian
wait $guardian || true
for _ in $(seq 300); do
	! "$quixote" ps --all --json | grep -q '"exit":{"signal":9}' || break
	sleep 0.1
done
"$quixote" ps --all --json | grep -q '"exit":{"signal":9}' || fail "there is no record: $("$quixote" ps --all)"
! kill -0 "$(cat forked)" 2> kill.log || fail "what was forked outlives the guardian"

# Who loses the guardian too ends at its next event.
begin_guarded
kill -STOP $guardian
kill -KILL $orchestrator
go
ends "$first" || fail "the workload lives on: $(cat /proc/"$first"/status)"
! [ -e finished ] || fail "the workload went on"
kill -CONT $guardian
wait $guardian || true

# Also who only goes on sending over what is connected, which is no event.
"$quixote" learn --quiet --source kernel --on-crash kill --name talking -o talking.model -- /usr/bin/python3 -c '
import os, socket, time
one, other = socket.socketpair()
one.send(b"x")
print(os.getpid(), file=open("talking.new", "w"), flush=True)
os.rename("talking.new", "talking")
while other.recv(1):
    time.sleep(0.1)
    one.send(b"x")' 2> run.log &
guardian=$!
for _ in $(seq 600); do
	[ ! -e talking ] || break
	sleep 0.1
done
orchestrator=$(pgrep -P $guardian)
kill -STOP $guardian
kill -0 "$(cat talking)"
kill -KILL "$orchestrator"
ends "$(cat talking)" || fail "who sends lives on: $(cat /proc/"$(cat talking)"/status)"
kill -CONT $guardian
wait $guardian || true

# The namespaces of the orchestrators that were killed end with their last process.
for _ in $(seq 300); do
	! "$quixote" kernel status | grep -q ', 0 namespaces' || break
	sleep 0.1
done
unload
echo "kernel_agent: the kernel decides what the model knows, and denies the rest, on $(uname -r)"
