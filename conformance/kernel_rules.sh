#!/bin/sh
# Names under a rule in hooks that cannot wait: `cargo xtask vm -- sh conformance/kernel_rules.sh`.
#
# Workloads whose directories, links, sockets, attributes and roots have names that are others in every run are enforced
# in the kernel under a rule for them, without a denial and without a loss. What the rule does not allow is denied before
# it takes effect.
set -eu
program=${1-}
. conformance/kernel_here.sh

# $1: how the names begin, $2: where, $3: what gets a second name.
cat > workload <<'WORKLOAD'
set -e
for turn in 1 2 3; do
	name=$2/$1$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')
	mkdir "$name"
	echo content > "$name.old"
	ln "${3:-$name.old}" "$name.new"
done
WORKLOAD
# argv: where, how the names begin, and the socket that is reached if it is not one of ours.
cat > reach.py <<'WORKLOAD'
import os
import socket
import sys

name = os.path.join(sys.argv[1], sys.argv[2] + os.urandom(4).hex())
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(name)
listener.listen()
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(name + ".datagrams")
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.sendto(b"one", name + ".datagrams")
sender.sendmsg([b"two"], [], 0, name + ".datagrams")
receiver.recv(10), receiver.recv(10)
# One after the other: none takes away what is foretold of the next.
for _ in range(100):
    sender.sendto(b"more", name + ".datagrams")
    receiver.recv(10)
sender.connect(name + ".datagrams")
os.mkdir(name + ".root")
os.setxattr(name + ".root", "trusted.quixote", b"1")
os.removexattr(name + ".root", "trusted.quixote")
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
    client.connect(sys.argv[3] if len(sys.argv) > 3 else name)
os.chroot(name + ".root")
WORKLOAD
# argv: where. Reaches a socket of its own, which goes, and then what has its name: itself's, or another's that was made meanwhile.
cat > again.py <<'WORKLOAD'
import os
import socket
import sys
import time

name = os.path.join(sys.argv[1], "t" + os.urandom(4).hex())

def listening():
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(name)
    listener.listen()
    return listener

def reach():
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(name)

first = listening()
reach()
time.sleep(1)
os.unlink(name)
for _ in range(100 if len(sys.argv) > 2 else 0):
    if os.path.exists(name):
        break
    time.sleep(0.1)
else:
    second = listening()
reach()
WORKLOAD
cat > usurper.py <<'WORKLOAD'
import os
import socket
import sys
import time

seen, deadline = None, time.monotonic() + 120
while time.monotonic() < deadline:
    names = [name for name in os.listdir(sys.argv[1]) if name.startswith("t")]
    if seen and seen not in names:
        break
    seen = names[0] if names else seen
    time.sleep(0.01)
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(os.path.join(sys.argv[1], seen))
listener.listen()
print("listens", flush=True)
listener.settimeout(30)
try:
    listener.accept()
    print("reached")
except TimeoutError:
    print("not reached")
WORKLOAD
mkdir work other
echo secret > secret

"$quixote" kernel load
"$quixote" learn --quiet --source portable --runs 2 --accept-rules none --rule "name $folder/work/d{hex:8} made" \
	--rule "name $folder/work/d{hex:8}.old made" --rule "name $folder/work/d{hex:8}.new made" \
	-o rules.model -- /bin/sh workload d work 2> learn.log || fail "learning: $(cat learn.log)"
before=$(ls work | wc -l)
"$quixote" enforce --quiet --source kernel --allow-unsigned --name rules rules.model -- /bin/sh workload d work 2> good.log ||
	fail "a good run was denied: $(cat good.log; "$quixote" show rules forensics)"
grep -q ' 0 lost' good.log || fail "events were lost: $(cat good.log)"
[ "$(ls work | wc -l)" = $((before + 9)) ] || fail "not everything was made: $(ls work)"
# With an agent that is not in the orchestrator as well.
"$quixote" enforce --quiet --source kernel --tma process --allow-unsigned --name rules rules.model -- /bin/sh workload d work 2> good.log ||
	fail "a good run was denied by an agent elsewhere: $(cat good.log; "$quixote" show rules forensics)"
grep -q ' 0 lost' good.log || fail "an agent elsewhere: events were lost: $(cat good.log)"
[ "$(ls work | wc -l)" = $((before + 18)) ] || fail "not everything was made: $(ls work)"

# $1: the event that has to be named, $2: what it is about, $3: where the agent is, the rest: the workload's words.
denied() {
	event=$1 object=$2 tma=$3
	shift 3
	if "$quixote" enforce --quiet --source kernel --tma "$tma" --allow-unsigned --on-violation deny --name rules rules.model -- \
		/bin/sh workload "$@" 2> denied.log; then
		fail "not denied: $*"
	fi
	"$quixote" show rules forensics > forensics
	grep -q "$event .*$object" forensics || fail "$event is not named: $(cat forensics)"
	grep -q ' 0 lost' denied.log || fail "events were lost: $(cat denied.log)"
}

denied inode_mkdir /work/e orchestrator e work
denied inode_mkdir /work/e process e work
[ -z "$(find work -name 'e*')" ] || fail "a name that the rule does not allow was made"
denied inode_mkdir /other/d orchestrator d other
[ -z "$(ls other)" ] || fail "a directory that the rule does not allow was made"
denied inode_link /secret orchestrator d work secret
denied inode_link /secret process d work secret
[ "$(stat -c %h secret)" = 1 ] || fail "a file that the rule does not allow got a second name"

"$quixote" learn --quiet --source kernel --runs 2 --accept-rules none --rule "name $folder/work/s{hex:8} made" \
	--rule "name $folder/work/s{hex:8}.datagrams made" --rule "name $folder/work/s{hex:8}.root made" \
	-o reach.model -- /usr/bin/python3 -I reach.py work s 2> learn.log || fail "learning: $(cat learn.log)"
for event in unix_stream_connect unix_may_send inode_removexattr path_chroot; do
	grep -q " $event .*work/s{hex:8}" reach.model || fail "no $event in the model: $(cat reach.model)"
done
run="--quiet --source kernel --allow-unsigned --on-violation deny --name reach reach.model -- /usr/bin/python3 -I reach.py"
"$quixote" enforce $run work s 2> good.log ||
	fail "a good run was denied: $(cat good.log; "$quixote" show reach forensics)"
grep -q ' 0 lost' good.log || fail "events were lost: $(cat good.log)"
# It has a name that the rule takes, and the namespace did not make it.
python3 -c 'import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
listener.settimeout(float(sys.argv[2]))
print("listens", flush=True)
try:
    listener.accept()
    print("reached")
except TimeoutError:
    pass' "$folder/work/s01234567" 60 > listener.log &
listener=$!
for _ in $(seq 100); do
	grep -q listens listener.log && break
	sleep 0.1
done
! "$quixote" enforce $run work s "$folder/work/s01234567" 2> denied.log || fail "a socket from outside was reached"
"$quixote" show reach forensics > forensics
grep -q 'unix_stream_connect .*/work/s01234567' forensics || fail "the connection is not named: $(cat forensics)"
grep -q ' 0 lost' denied.log || fail "events were lost: $(cat denied.log)"
! grep -q reached listener.log || fail "a socket from outside was reached"
python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])' "$folder/work/s01234567"
wait "$listener"
grep -q reached listener.log || fail "the test's own socket cannot be reached"

# What was allowed once for a name that the namespace had made is not allowed when the name is another's.
"$quixote" learn --quiet --source kernel --runs 2 --accept-rules none --rule "name $folder/work/t{hex:8} made" -o again.model -- \
	/usr/bin/python3 -I again.py work 2> learn.log || fail "learning: $(cat learn.log)"
rm work/t*
run="--quiet --source kernel --allow-unsigned --on-violation deny --name again again.model -- /usr/bin/python3 -I again.py"
"$quixote" enforce $run work 2> good.log || fail "a good run was denied: $(cat good.log; "$quixote" show again forensics)"
rm work/t*
python3 usurper.py work > usurper.log &
usurper=$!
! "$quixote" enforce $run work another 2> denied.log || fail "a socket with the name of one's own was reached"
"$quixote" show again forensics > forensics
grep -q 'unix_stream_connect .*/work/t' forensics || fail "the connection is not named: $(cat forensics)"
wait "$usurper" || fail "the test's own socket was not there"
grep -q '^not reached' usurper.log || fail "a socket with the name of one's own was reached: $(cat usurper.log)"

"$quixote" kernel status | grep -q ', 0 namespaces' || fail "a namespace is left: $("$quixote" kernel status)"
unload
echo "kernel_rules: names under a rule are made, and no others, on $(uname -r)"
