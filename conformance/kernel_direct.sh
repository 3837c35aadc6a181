#!/bin/sh
# What only a kernel source can tell apart: acts that pass by a filter of system calls.
#
#     sh conformance/kernel_matrix/build.sh target/xtask/kernel_matrix
#     cargo xtask vm --append syscall.x32=y -- sh conformance/kernel_direct.sh target/xtask/kernel_matrix/direct
#
# The workload does all it is meant to do through a ring, through the gate of i386, with numbers of x32, and by a file
# handle; its model holds that. So the way itself is allowed, and what it is used for has to be stopped: the same act on
# another object. Outside a namespace every act has its effect, or the test says nothing.
set -eu
program=${2-} tried=$PWD/$1
. conformance/kernel_here.sh
cp "$tried" direct

# $1: what names are to begin with.
prepare() {
	for each in plain uring i386 x32 handle; do
		rm -rf "$1-made-$each"
		echo removed > "$1-removed-$each"
	done
	echo "content of $1" > "$1"
}

# Whether the act $2 by the way $1 had its effect on what $3 begins the name of; the output is in `out`.
had_effect() {
	case $2 in
	read) grep -q "content of $3" out ;;
	remove) ! [ -e "$3-removed-$1" ] ;;
	make) [ -d "$3-made-$1" ] ;;
	esac
}

object() {
	case $2 in
	read) echo "$3" ;;
	remove) echo "$3-removed-$1" ;;
	make) echo "$3-made-$1" ;;
	esac
}

event() {
	case $1 in
	read) echo file_open ;;
	remove) echo inode_unlink ;;
	make) echo inode_mkdir ;;
	esac
}

prepare other
acts=
for way in plain uring i386 x32 handle; do
	for act in read remove make; do
		[ "$way-$act" != handle-remove ] && [ "$way-$act" != handle-make ] || continue
		./direct $way $act "$(object $way $act other)" > out 2> err || true
		if ! had_effect $way $act other; then
			# A kernel without x32 answers that there is no such call.
			[ $way = x32 ] && grep -q 'not implemented' err || fail "bare, $way $act does nothing: $(cat err)"
			echo "not here: $way $act"
			continue
		fi
		acts="$acts $way:$act"
	done
done

prepare good
line=
for pair in $acts; do
	line="$line ${pair%:*} ${pair#*:} $(object "${pair%:*}" "${pair#*:}" good)"
done
# shellcheck disable=SC2086 # words
"$quixote" learn --quiet --source kernel -o direct.model -- ./direct $line > out 2> learn.log || fail "learning: $(cat out learn.log)"
grep -q ' 0 lost' learn.log || fail "events were lost: $(cat learn.log)"
prepare good
# shellcheck disable=SC2086
"$quixote" enforce --quiet --source kernel --allow-unsigned direct.model -- ./direct $line > out 2> good.log ||
	fail "a good run was denied: $(cat out good.log)"

stopped=0
for pair in $acts; do
	way=${pair%:*} act=${pair#*:}
	prepare other
	status=0
	"$quixote" enforce --quiet --source kernel --allow-unsigned --on-violation deny --name attack direct.model -- \
		./direct "$way" "$act" "$(object "$way" "$act" other)" > out 2> err || status=$?
	if had_effect "$way" "$act" other; then fail "$way $act TOOK EFFECT"; fi
	[ $status = 1 ] || fail "$way $act ended with $status, not with EPERM: $(cat err)"
	"$quixote" show attack forensics > forensics
	grep -q "$(event "$act") .*$(object "$way" "$act" other)" forensics || fail "$way $act is not named: $(cat forensics)"
	grep -q ' 0 lost' err || fail "$way $act: events were lost: $(cat err)"
	stopped=$((stopped + 1))
done
[ $stopped -ge 10 ] || fail "only $stopped acts were tried"
unload
echo "kernel_direct: $stopped acts stopped on $(uname -r):$acts"
