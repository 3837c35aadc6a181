/*
 * The positive control: a supervisor as it must not be. It looks at what the workload shows, judges that, and lets
 * the kernel look again (SECCOMP_USER_NOTIF_FLAG_CONTINUE). Every race must win against it, else the race proves
 * nothing.
 *
 *     naive text|resolved|content|descriptor|address|pid|emulate COMMAND...
 *
 * says what it looks at. Whatever is called private is refused with EPERM.
 */
#define _GNU_SOURCE
#include "programs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define NONE (-1)
#define EMULATION_US 300
#define PIDS 4194304

/* Which arguments of a call name objects. */
struct call {
	int number;
	int path;
	int other_path;
	int descriptor;
	int address;
};

static const struct call calls[] = {
	{ SYS_openat, 1, NONE, 0, NONE },
	{ SYS_execve, 0, NONE, NONE, NONE },
	{ SYS_execveat, NONE, NONE, 0, NONE },
	{ SYS_mkdirat, 1, NONE, 0, NONE },
	{ SYS_mknodat, 1, NONE, 0, NONE },
	{ SYS_unlinkat, 1, NONE, 0, NONE },
	{ SYS_symlinkat, 2, NONE, 1, NONE },
	{ SYS_linkat, 1, 3, 0, NONE },
	{ SYS_renameat, 1, 3, 0, NONE },
	{ SYS_fchmodat, 1, NONE, 0, NONE },
	{ SYS_truncate, 0, NONE, NONE, NONE },
	{ SYS_setxattr, 0, NONE, NONE, NONE },
#ifdef SYS_open
	{ SYS_open, 0, NONE, NONE, NONE },
	{ SYS_mkdir, 0, NONE, NONE, NONE },
	{ SYS_mknod, 0, NONE, NONE, NONE },
	{ SYS_unlink, 0, NONE, NONE, NONE },
	{ SYS_rmdir, 0, NONE, NONE, NONE },
	{ SYS_symlink, 1, NONE, NONE, NONE },
	{ SYS_link, 0, 1, NONE, NONE },
	{ SYS_rename, 0, 1, NONE, NONE },
	{ SYS_chmod, 0, NONE, NONE, NONE },
#endif
	{ SYS_fchmod, NONE, NONE, 0, NONE },
	{ SYS_fsetxattr, NONE, NONE, 0, NONE },
	{ SYS_ftruncate, NONE, NONE, 0, NONE },
	{ SYS_connect, NONE, NONE, 0, 1 },
	{ SYS_bind, NONE, NONE, 0, 1 },
	{ SYS_listen, NONE, NONE, 0, NONE },
	{ SYS_accept4, NONE, NONE, 0, NONE },
	{ SYS_sendto, NONE, NONE, NONE, 4 },
	{ SYS_kill, NONE, NONE, NONE, NONE },
};
#define CALLS (sizeof(calls) / sizeof(*calls))

enum looks { AT_TEXT, AT_RESOLVED, AT_CONTENT, AT_DESCRIPTOR, AT_ADDRESS, AT_PID, EMULATES };
static const char *const looks_names[] = { "text", "resolved", "content", "descriptor", "address", "pid", "emulate" };

static enum looks looks;
static int listener;
/* What each pid executed last: the mistake is that a pid is not a process. */
static char better[PIDS];

static const struct call *find_call(int number)
{
	for (size_t i = 0; i < CALLS; i++)
		if (calls[i].number == number)
			return &calls[i];
	return NULL;
}

static bool read_octets(pid_t pid, uint64_t address, void *octets, size_t length)
{
	struct iovec local = { octets, length }, remote = { (void *)(uintptr_t)address, length };

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) > 0;
}

static void read_path(pid_t pid, uint64_t address, char path[PATH_MAX])
{
	size_t to_page = 4096 - address % 4096;

	memset(path, 0, PATH_MAX);
	if (!read_octets(pid, address, path, to_page < 256 ? to_page : 256) || to_page >= 256)
		return;
	read_octets(pid, address + to_page, path + to_page, 256 - to_page);
}

static bool text_is_private(const char *text)
{
	return strstr(text, "private") != NULL;
}

static void within(pid_t pid, const char *path, char *full)
{
	if (*path == '/')
		snprintf(full, PATH_MAX, "%s", path);
	else
		snprintf(full, PATH_MAX, "/proc/%d/cwd/%.3000s", pid, path);
}

/* The path without symlinks; of what does not exist, of its directory. */
static bool resolved_is_private(pid_t pid, const char *path)
{
	char full[PATH_MAX], resolved[PATH_MAX];

	within(pid, path, full);
	if (!realpath(full, resolved)) {
		*strrchr(full, '/') = 0;
		if (!realpath(full, resolved))
			return false;
	}
	return text_is_private(resolved);
}

/* The program, and the interpreter that its first line names. */
static bool content_is_private(pid_t pid, const char *path)
{
	static char content[65536];
	char full[PATH_MAX];

	within(pid, path, full);
	int fd = open(full, O_RDONLY);
	ssize_t length = read(fd, content, sizeof(content) - 1);
	close(fd);
	if (length <= 0)
		return false;
	content[length] = 0;
	if (content[0] == '#' && content[1] == '!') {
		*strchrnul(content, '\n') = 0;
		snprintf(full, sizeof(full), "%.4000s", content + 2);
		return content_is_private(pid, full);
	}
	return memmem(content, length, PRIVATE_NAME, strlen(PRIVATE_NAME)) != NULL;
}

static bool socket_is_private(pid_t pid, int number, bool accepts)
{
	struct sockaddr_in own = { 0 };
	socklen_t length = sizeof(own);
	int type = 0, pidfd = syscall(SYS_pidfd_open, pid, 0);
	int copy = syscall(SYS_pidfd_getfd, pidfd, number, 0);
	socklen_t type_length = sizeof(type);

	getsockopt(copy, SOL_SOCKET, SO_TYPE, &type, &type_length);
	getsockname(copy, (struct sockaddr *)&own, &length);
	close(copy);
	close(pidfd);
	return type == SOCK_DGRAM || own.sin_port == htons(accepts ? WAITING_PORT : PRIVATE_PORT);
}

static bool descriptor_is_private(pid_t pid, int number, bool accepts)
{
	char link[64], target[PATH_MAX] = "";

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", pid, number);
	if (readlink(link, target, sizeof(target) - 1) < 0)
		return false;
	return !strncmp(target, "socket:", 7) ? socket_is_private(pid, number, accepts) : text_is_private(target);
}

static bool address_is_private(pid_t pid, uint64_t address, bool binds)
{
	union {
		struct sockaddr_in in;
		struct sockaddr_un un;
	} known = { 0 };

	if (!read_octets(pid, address, &known, sizeof(known)))
		return false;
	if (known.in.sin_family == AF_INET)
		return known.in.sin_port == htons(binds ? UNBOUND_PORT : PRIVATE_PORT);
	return text_is_private(known.un.sun_path);
}

static bool message_is_private(pid_t pid, uint64_t address)
{
	struct msghdr message = { 0 };

	return read_octets(pid, address, &message, sizeof(message)) && message.msg_name &&
	       address_is_private(pid, (uintptr_t)message.msg_name, false);
}

/* Who may read, and who may be signalled, by pid. */
static bool pid_is_worse(const struct seccomp_notif *request)
{
	char path[PATH_MAX];

	if (request->data.nr == SYS_execve) {
		read_path(request->pid, request->data.args[0], path);
		better[request->pid] = strstr(path, "reader") != NULL;
		return false;
	}
	if (request->data.nr == SYS_kill)
		return !better[request->data.args[0] % PIDS];
	if (request->data.nr != SYS_openat)
		return false;
	read_path(request->pid, request->data.args[1], path);
	return text_is_private(path) && !better[request->pid];
}

static bool path_is_private(pid_t pid, uint64_t address)
{
	char path[PATH_MAX];

	read_path(pid, address, path);
	switch (looks) {
	case AT_TEXT:
		return text_is_private(path);
	case AT_RESOLVED:
		return resolved_is_private(pid, path);
	case AT_CONTENT:
		return content_is_private(pid, path);
	case AT_DESCRIPTOR:
		return !strncmp(path, "/proc/self/fd/", 14) && descriptor_is_private(pid, atoi(path + 14), false);
	default:
		return false;
	}
}

static bool is_private(const struct seccomp_notif *request)
{
	const struct call *call = find_call(request->data.nr);
	const __u64 *args = request->data.args;
	pid_t pid = request->pid;

	if (looks == AT_PID)
		return pid_is_worse(request);
	if (looks == AT_CONTENT && request->data.nr != SYS_execve)
		return false;
	if (request->data.nr == SYS_mmap)
		return looks == AT_DESCRIPTOR && descriptor_is_private(pid, args[4], false);
	if (request->data.nr == SYS_sendmsg || request->data.nr == SYS_sendmmsg)
		return looks == AT_ADDRESS && message_is_private(pid, args[1]);
	if (!call)
		return false;
	if (looks == AT_DESCRIPTOR && call->descriptor != NONE &&
	    descriptor_is_private(pid, args[call->descriptor], call->number == SYS_accept4))
		return true;
	if (looks == AT_ADDRESS && call->address != NONE && args[call->address])
		return address_is_private(pid, args[call->address], call->number == SYS_bind);
	return (call->path != NONE && path_is_private(pid, args[call->path])) ||
	       (call->other_path != NONE && path_is_private(pid, args[call->other_path]));
}

/* Does it itself, slowly, and does not know that a signal may have taken the caller away meanwhile. */
static int emulate(const struct seccomp_notif *request)
{
	char path[PATH_MAX], full[PATH_MAX];
	int result;

	if (request->data.nr != SYS_mkdir && request->data.nr != SYS_rmdir)
		return 1;
	read_path(request->pid, request->data.args[0], path);
	within(request->pid, path, full);
	result = request->data.nr == SYS_mkdir ? mkdir(full, 0700) : rmdir(full);
	result = result < 0 ? -errno : 0;
	usleep(EMULATION_US);
	return result;
}

static void answer(const struct seccomp_notif *request)
{
	struct seccomp_notif_resp response = { .id = request->id };
	int result = looks == EMULATES ? emulate(request) : is_private(request) ? -EPERM : 1;

	if (result == 1)
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else
		response.error = result;
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static void serve(void)
{
	struct pollfd ready = { .fd = listener, .events = POLLIN };
	struct seccomp_notif request;

	for (;;) {
		if (poll(&ready, 1, -1) < 0 || ready.revents & POLLHUP)
			return;
		memset(&request, 0, sizeof(request));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) == 0)
			answer(&request);
	}
}

static int install_filter(void)
{
	struct sock_filter program[2 * (CALLS + 2) + 8];
	struct sock_fprog whole = { .filter = program };
	unsigned short length = 0;

#define ADD(...) program[length++] = (struct sock_filter)__VA_ARGS__
	ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0));
	for (size_t i = 0; i < CALLS; i++) {
		ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, 0, 1));
		ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
	}
	ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 0, 1));
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
	ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmmsg, 0, 1));
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
	ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3));
	ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 16 + 2 * 8));
	ADD(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 4, 0, 1));
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
#undef ADD
	whole.len = length;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die("no_new_privs");
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &whole);
}

/* The listener's number goes through a pipe: no call that is notified may come before somebody answers. */
static void run_command(char **command, int to_parent, int from_parent)
{
	char go;
	int fd = install_filter();

	if (write(to_parent, &fd, sizeof(fd)) != sizeof(fd) || read(from_parent, &go, 1) != 1 || fd < 0)
		_exit(3);
	close(fd);
	execv(command[0], command);
	_exit(4);
}

static bool choose_looks(const char *name)
{
	for (size_t i = 0; i < sizeof(looks_names) / sizeof(*looks_names); i++)
		if (!strcmp(looks_names[i], name)) {
			looks = i;
			return true;
		}
	return false;
}

int main(int argc, char **argv)
{
	int up[2], down[2], fd, status;

	if (argc < 3 || !choose_looks(argv[1]) || pipe(up) || pipe(down))
		return 2;
	pid_t child = fork();
	if (child == 0)
		run_command(argv + 2, up[1], down[0]);
	if (read(up[0], &fd, sizeof(fd)) != sizeof(fd))
		die("no listener");
	listener = syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, child, 0), fd, 0);
	if (listener < 0 || write(down[1], "", 1) != 1)
		die("listener");
	serve();
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
