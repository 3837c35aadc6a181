#!/bin/sh
# What the kernel source promises, on the kernel that runs: `cargo xtask vm -- sh conformance/kernel_source.sh`.
#
# The same workload has the same coefficients under both sources, as root and as an ordinary user; a model learned portably is enforced in the
# kernel without a denial; what is outside it is denied before it takes effect; unloading leaves nothing.
set -eu
program=${1-}
. conformance/kernel_here.sh

cat > workload <<'WORKLOAD'
set -e
cat /etc/hostname > /dev/null
echo x > file; mkdir -p inner; mv file inner/moved; ln -s a inner/link; ln inner/moved inner/hard
chmod 600 inner/moved; touch inner/moved; rm -r inner
(sleep 0); sleep 100 & sleep 1; kill $!
ls /proc/self/fd > /dev/null
perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) && bind(S, sockaddr_un($ARGV[0])) && listen(S, 1) or die' "$PWD/socket"
rm socket
# A signal for one that has ended, and that nobody has waited for.
perl -e 'exit unless $p = fork; sleep 1; kill 0, $p; waitpid $p, 0'
# A terminal that no path is named for, ids that do not change, no groups.
/usr/bin/python3 -I -S -B ids
/usr/bin/python3 -I -S -B memory
WORKLOAD
cat > ids <<'IDS'
import ctypes
import os

os.openpty()
os.setresuid(*os.getresuid())
os.setresgid(*os.getresgid())
libc = ctypes.CDLL(None)
libc.setfsuid(os.getuid())
libc.setfsgid(-1)
libc.setgroups(0, None)
IDS
# Executable memory that the kernel keeps in files of its own, which have no name for anybody.
cat > memory <<'MEMORY'
import ctypes
import mmap
import os

READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE
READ_WRITE_EXEC = READ_WRITE | mmap.PROT_EXEC
MAP_HUGETLB = 0x40000
SHM_RDONLY, SHM_EXEC, IPC_RMID = 0o10000, 0o100000, 0
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int


def make_executable(address):
    assert libc.mprotect(address, mmap.PAGESIZE, READ_WRITE_EXEC) == 0, os.strerror(ctypes.get_errno())


shared = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS
mmap.mmap(-1, mmap.PAGESIZE, flags=shared, prot=READ_WRITE_EXEC)
later = mmap.mmap(-1, mmap.PAGESIZE, flags=shared, prot=READ_WRITE)
make_executable(ctypes.addressof(ctypes.c_char.from_buffer(later)))
mmap.mmap(-1, 2 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB, prot=READ_WRITE_EXEC)
segment = libc.shmget(0, mmap.PAGESIZE, 0o700)
for flags in SHM_EXEC, SHM_EXEC | SHM_RDONLY:
    assert libc.shmat(segment, None, flags) != ctypes.c_void_p(-1).value, os.strerror(ctypes.get_errno())
make_executable(libc.shmat(segment, None, 0))
libc.shmctl(segment, IPC_RMID, None)
MEMORY
echo 4 > /proc/sys/vm/nr_hugepages
test "$(cat /proc/sys/vm/nr_hugepages)" = 4 || fail "no huge pages"

"$quixote" kernel load
for source in kernel portable; do
	"$quixote" learn --quiet --source $source -o $source.model -- /bin/sh workload 2> $source.log || fail "$(cat $source.log)"
	grep -q ' 0 lost' $source.log || fail "events were lost: $(cat $source.log)"
done
same_coefficients kernel.model portable.model
"$quixote" enforce --quiet --source kernel --allow-unsigned portable.model -- /bin/sh workload ||
	fail "a good run was denied"
if "$quixote" enforce --quiet --source kernel --allow-unsigned portable.model -- /bin/sh -c 'echo evil > evil'; then
	fail "what is outside the model was not denied"
fi
test ! -e evil || fail "what was denied took effect"
# A hook that cannot wait, and a name that no two runs share.
"$quixote" learn --quiet --source kernel -o root.model -- chroot /proc/self/fdinfo true 2> root.log || :
"$quixote" enforce --quiet --source kernel --allow-unsigned root.model -- chroot /proc/self/fdinfo true 2> root.log || :
grep -q 'No such file' root.log || fail "a root that the model knows was refused: $(cat root.log)"

# The same as an ordinary user: portably by itself, in the kernel by root with --user.
chmod 755 "$folder"
mkdir own
cp ids memory own
chown nobody own own/ids own/memory
cd own
as_nobody() {
	HOME=$PWD XDG_RUNTIME_DIR=$PWD /usr/bin/setpriv --reuid=nobody --regid=nogroup --init-groups -- "$@"
}
as_nobody "$quixote" learn --quiet -o portable.model -- /bin/sh ../workload 2> ../nobody.log || fail "$(cat ../nobody.log)"
"$quixote" learn --quiet --source kernel --user nobody -o ../nobody.model -- /bin/sh ../workload 2> ../nobody.log ||
	fail "$(cat ../nobody.log)"
grep -q ' 0 lost' ../nobody.log || fail "events were lost: $(cat ../nobody.log)"
same_coefficients ../nobody.model portable.model
test "$(grep -c ' uid65534\.' "$folder/nobody.model.coefficients")" -gt 80 || fail "not nobody's: $(cat ../nobody.model)"
"$quixote" enforce --quiet --source kernel --user nobody --allow-unsigned portable.model -- /bin/sh ../workload ||
	fail "a good run of an ordinary user was denied"
cd ..

unload
echo "kernel_source: same coefficients under both sources on $(uname -r)"
