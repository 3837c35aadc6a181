#!/bin/sh
# Names under a rule in hooks that cannot wait: `cargo xtask vm -- sh conformance/kernel_rules.sh`.
#
# A workload that makes directories and links of names that are others in every run is enforced in the kernel under a
# rule for them, without a denial and without a loss. What the rule does not allow is denied before it takes effect.
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

# $1: the event that has to be named, $2: what it is about, the rest: the workload's words.
denied() {
	event=$1 object=$2
	shift 2
	if "$quixote" enforce --quiet --source kernel --allow-unsigned --on-violation deny --name rules rules.model -- \
		/bin/sh workload "$@" 2> denied.log; then
		fail "not denied: $*"
	fi
	"$quixote" show rules forensics > forensics
	grep -q "$event .*$object" forensics || fail "$event is not named: $(cat forensics)"
	grep -q ' 0 lost' denied.log || fail "events were lost: $(cat denied.log)"
}

denied inode_mkdir /work/e e work
[ -z "$(find work -name 'e*')" ] || fail "a name that the rule does not allow was made"
denied inode_mkdir /other/d d other
[ -z "$(ls other)" ] || fail "a directory that the rule does not allow was made"
denied inode_link /secret d work secret
[ "$(stat -c %h secret)" = 1 ] || fail "a file that the rule does not allow got a second name"
"$quixote" kernel status | grep -q ', 0 namespaces' || fail "a namespace is left: $("$quixote" kernel status)"
unload
echo "kernel_rules: names under a rule are made, and no others, on $(uname -r)"
