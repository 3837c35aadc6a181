// SPDX-License-Identifier: Apache-2.0 OR MIT
/* The kernel itself: modules, keys, clock, log, BPF, performance events, devices. */
#include "triggers.h"
#include <linux/bpf.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/socket.h>
#include <time.h>

#ifndef AF_PHONET
#define AF_PHONET 35
#endif

static long bpf(int command, union bpf_attr *attributes)
{
	return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

static outcome make_user_namespace(void)
{
	return RESULT(unshare(CLONE_NEWUSER));
}

static outcome make_map(void)
{
	union bpf_attr attributes = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = 8,
		.max_entries = 1,
	};

	return RESULT(bpf(BPF_MAP_CREATE, &attributes));
}

static outcome make_program(void)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attributes = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (uintptr_t)code,
		.insn_cnt = 2,
		.license = (uintptr_t) "GPL",
	};

	return RESULT(bpf(BPF_PROG_LOAD, &attributes));
}

static outcome open_event(void)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attributes),
		.config = PERF_COUNT_SW_DUMMY,
	};

	return RESULT(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
}

/* A family that Debian loads on demand and that nothing else here uses. */
static outcome ask_for_module(void)
{
	return RESULT(socket(AF_PHONET, SOCK_DGRAM, 0));
}

static bool module_is_there(void)
{
	return access("/sys/module/phonet", F_OK) == 0;
}

static char *image;
static long image_length;
static int image_fd = -1;

/* A module without dependencies, uncompressed: the harness says where. */
static outcome read_module(const char *path)
{
	if (!path)
		return ENOENT;
	STEP(image_fd = open(path, O_RDONLY));
	STEP(image_length = lseek(image_fd, 0, SEEK_END));
	STEP(lseek(image_fd, 0, SEEK_SET));
	image = malloc(image_length);
	return read(image_fd, image, image_length) == image_length ? 0 : EIO;
}

static outcome read_first_module(void)
{
	return read_module(getenv("TRIGGER_MODULE"));
}

static outcome read_second_module(void)
{
	return read_module(getenv("TRIGGER_MODULE_2"));
}

static outcome load_data(void)
{
	return RESULT(syscall(SYS_init_module, image, image_length, ""));
}

static outcome load_file(void)
{
	return RESULT(syscall(SYS_finit_module, image_fd, "", 0));
}

static outcome add_key(void)
{
	return RESULT(syscall(SYS_add_key, "user", "quixote", "x", 1, KEY_SPEC_PROCESS_KEYRING));
}

static outcome make_keyring(void)
{
	return RESULT(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1));
}

static outcome use_key(void)
{
	char text[128];

	return RESULT(syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_PROCESS_KEYRING, text,
			      sizeof(text)));
}

static outcome read_log(void)
{
	enum { SYSLOG_ACTION_SIZE_BUFFER = 10 };

	return RESULT(klogctl(SYSLOG_ACTION_SIZE_BUFFER, NULL, 0));
}

static struct timespec now;

static outcome read_clock(void)
{
	return RESULT(clock_gettime(CLOCK_REALTIME, &now));
}

static outcome set_clock(void)
{
	return RESULT(clock_settime(CLOCK_REALTIME, &now));
}

/* Accounting is off here, and stays so: it takes the capability all the same. */
static outcome use_capability(void)
{
	return RESULT(acct(NULL));
}

static outcome make_ring(void)
{
	struct io_uring_params parameters = {};

	return RESULT(syscall(SYS_io_uring_setup, 1, &parameters));
}

#define DEVICE "quixote0"

static int tun = -1;

static outcome use_interface(int fd, short flags)
{
	struct ifreq request = { .ifr_flags = flags };

	strcpy(request.ifr_name, DEVICE);
	return RESULT(ioctl(fd, TUNSETIFF, &request));
}

/* In a network namespace of its own: the device goes with it. */
static outcome open_tun(void)
{
	STEP(unshare(CLONE_NEWNET));
	STEP(tun = open("/dev/net/tun", O_RDWR));
	return 0;
}

static outcome create_device(void)
{
	return use_interface(tun, IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE);
}

/* A device that stays when its descriptor is closed. */
static outcome make_lasting_device(void)
{
	outcome error = open_tun();

	if (!error)
		error = create_device();
	if (error)
		return error;
	STEP(ioctl(tun, TUNSETPERSIST, 1));
	STEP(close(tun));
	STEP(tun = open("/dev/net/tun", O_RDWR));
	return 0;
}

static outcome make_detached_queue(void)
{
	struct ifreq request = { .ifr_flags = IFF_DETACH_QUEUE };
	outcome error = open_tun();

	if (!error)
		error = create_device();
	return error ? error : RESULT(ioctl(tun, TUNSETQUEUE, &request));
}

static outcome attach_queue(void)
{
	struct ifreq request = { .ifr_flags = IFF_ATTACH_QUEUE };

	return RESULT(ioctl(tun, TUNSETQUEUE, &request));
}

const struct trigger system_triggers[] = {
	{ "userns_create", NULL, make_user_namespace },
	{ "bpf", NULL, make_map },
	{ "bpf_map", NULL, make_map },
	{ "bpf_prog", NULL, make_program },
	{ "perf_event_open", NULL, open_event },
	{ "kernel_module_request", NULL, ask_for_module, module_is_there, EAFNOSUPPORT },
	{ "kernel_load_data", read_first_module, load_data },
	{ "kernel_read_file", read_second_module, load_file },
	{ "key_alloc", NULL, add_key },
	{ "key_permission", make_keyring, use_key },
	{ "syslog", NULL, read_log },
	{ "settime", read_clock, set_clock },
	{ "capable", NULL, use_capability },
	{ "uring_allowed", NULL, make_ring },
	{ "tun_dev_create", open_tun, create_device },
	{ "tun_dev_attach_queue", make_detached_queue, attach_queue },
	{ "tun_dev_attach", open_tun, create_device },
	{ "tun_dev_open", make_lasting_device, create_device },
	{},
};
