#!/bin/sh
# The attacks under the kernel source, on the kernel that runs:
#
#     cargo xtask vm --cpus 1 --timeout 14000 -- sh conformance/kernel_attacks.sh [OPTION OF run_attacks.py]...
#
# The root of the virtual machine is an overlay, which has no file handles, so what the attacks are about lies in one
# file system of its own; but for the one that links a file of the root. Everything is emulated: limits of time are multiplied.
set -eu
/usr/bin/python3 conformance/kernel_matrix/in_memory.py /dev/shm/kept sh bash cat curl id python3 /usr/lib/python3*/lib-dynload/*.so
attacks() {
	/usr/bin/python3 -u conformance/run_attacks.py --ci --learn-source kernel --source kernel --patience 6 "$@"
}
without=
case " $* " in
*' --only '*) ;;
*)
	attacks --only hardlink_from_within "$@"
	without='--without hardlink_from_within'
	;;
esac
mount -t tmpfs -o mode=1777 attacks /var/tmp
cp -p /etc/shadow /var/tmp/shadow
mount --bind /var/tmp/shadow /etc/shadow
attacks $without "$@"
