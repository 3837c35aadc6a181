#!/bin/sh
# One model inside a container and under the kernel source: `cargo xtask vm -- sh conformance/kernel_container.sh`.
#
# In a container without privileges (crun: an ordinary account, no capability, namespaces of its own, no new privileges) a workload is learned
# portably; outside, the kernel enforces it without a denial. What is learned in the kernel is enforced in such a container the same way.
set -eu
program=${1-}
conformance=$PWD/conformance
. conformance/kernel_here.sh
export LC_ALL=C

cat > workload <<'WORKLOAD'
set -e
cat /etc/hostname > /dev/null
echo x > file; mkdir -p inner; mv file inner/moved; ln -s a inner/link; ln inner/moved inner/hard
chmod 600 inner/moved; rm -r inner
(sleep 0); ls /proc/self/fd > /dev/null
WORKLOAD
chmod 755 "$folder"
mkdir own
chown nobody own

# What follows runs in a container whose files are those of this system, in the folder `own`.
in_container() {
	(
		cd own
		env -i HOME="$PWD" XDG_RUNTIME_DIR="$PWD" PATH="$PATH" LC_ALL=C \
			/usr/bin/python3 "$conformance/in_container.py" --apart nobody "$@" < /dev/null > ../container.log 2>&1
	)
}

in_container "$quixote" learn --quiet --name work -o portable.model -- /bin/sh ../workload || fail "learning in a container: $(cat container.log)"
grep -q ' 0 lost' container.log || fail "events were lost: $(cat container.log)"
"$quixote" kernel load
cd own
"$quixote" learn --quiet --source kernel --user nobody --name work -o ../kernel.model -- /bin/sh ../workload 2> ../learn.log ||
	fail "learning in the kernel: $(cat ../learn.log)"
grep -q ' 0 lost' ../learn.log || fail "events were lost: $(cat ../learn.log)"
same_coefficients ../kernel.model portable.model
"$quixote" enforce --quiet --source kernel --user nobody --allow-unsigned portable.model -- /bin/sh ../workload 2> ../enforce.log ||
	fail "what a container taught was denied in the kernel: $(cat ../enforce.log)"
cd ..
cp kernel.model own/kernel.model
chown nobody own/kernel.model
in_container "$quixote" enforce --quiet --allow-unsigned kernel.model -- /bin/sh ../workload ||
	fail "what the kernel taught was denied in a container: $(cat container.log)"
if in_container "$quixote" enforce --quiet --allow-unsigned kernel.model -- /bin/sh -c 'echo evil > evil'; then
	fail "what is outside the model was not denied in a container"
fi
grep -q 'denied inode_create .*/evil' container.log || fail "it failed otherwise: $(cat container.log)"
test ! -e own/evil || fail "what was denied took effect"
unload
echo "kernel_container: one model in a container and in the kernel, on $(uname -r)"
