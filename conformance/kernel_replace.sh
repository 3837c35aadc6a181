#!/bin/sh
# A model that is replaced in the kernel: `cargo xtask vm -- sh conformance/kernel_replace.sh`.
#
# A workload reads files, whose hook waits and whose verdict the kernel keeps, and makes directories, whose hook cannot wait.
# While it runs its model is replaced by one of other files and directories: from then on these are allowed and the others
# are not. A model that is no newer changes nothing.
set -eu
program=${1-}
. conformance/kernel_here.sh

# $1: files, $2: directories.
cat > workload <<'WORKLOAD'
for step in 1 2 3; do
	until [ -e go$step ]; do sleep 1; done
	for file in $1; do read -r line < $file; done
	could=
	for file in $1; do if read -r line < $file; then could="$could $file"; fi; done
	for name in $2; do if mkdir $name; then could="$could $name"; rmdir $name; fi; done
	echo "$step$could" > could
done
WORKLOAD
for name in a b go1 go2 go3; do echo text > $name; done

# $1: the model, the rest: the workload's words.
learn() {
	model=$1
	shift
	"$quixote" learn --quiet --source portable --accept-rules none --anew --name web -o "$model" -- \
		/bin/sh workload "$@" 2> learn.log || fail "learning: $(cat learn.log)"
}

learn first.model a d1
learn second.model a d1
learn second.model b d2
rm go1 go2 go3 could
"$quixote" model keygen -o me.key > /dev/null
for model in first second; do "$quixote" model sign --key me.key $model.model > /dev/null; done

"$quixote" kernel load
"$quixote" enforce --quiet --source kernel --on-violation deny --name web first.model -- \
	/bin/sh workload 'a b' 'd1 d2' 2> run.log &

# $1: the step, $2: what could be done.
step() {
	echo > "go$1"
	for _ in $(seq 120); do
		if [ "$(cut -c1 could 2> /dev/null)" = "$1" ]; then
			[ "$(cat could)" = "$1$2" ] || fail "step $1: $(cat could)"
			return
		fi
		sleep 1
	done
	fail "step $1 was not taken: $(cat run.log)"
}

step 1 ' a d1'
"$quixote" replace web second.model || fail "the model was not replaced"
step 2 ' b d2'
if "$quixote" replace web first.model 2> refused.log; then fail "an older model replaced a newer one"; fi
grep -q 'was accepted' refused.log || fail "refused otherwise: $(cat refused.log)"
step 3 ' b d2'
wait
grep -q ' 0 lost' run.log || fail "events were lost: $(cat run.log)"
grep -q 'replaced .* by serial 2' run.log || fail "the summary does not say so: $(cat run.log)"
"$quixote" show web forensics > forensics
for object in /a /b /d1 /d2; do
	grep -q "$object{\|$object " forensics || fail "$object was not denied in its time: $(cat forensics)"
done
# What the namespace had of the kernel is given back, under either model.
"$quixote" kernel status | grep -q ', 0 namespaces' || fail "a namespace is left: $("$quixote" kernel status)"
unload
