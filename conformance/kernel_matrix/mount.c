// SPDX-License-Identifier: Apache-2.0 OR MIT
/* Mounts and roots; each in a mount namespace of its own. */
#include "triggers.h"
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/quota.h>
#include <sys/statfs.h>

static outcome make_place(void)
{
	STEP(unshare(CLONE_NEWNS));
	STEP(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	STEP(mkdir("one", 0700));
	return RESULT(mkdir("two", 0700));
}

static outcome make_mount(void)
{
	outcome error = make_place();

	if (error)
		return error;
	STEP(mount("memory", "one", "tmpfs", 0, "size=64k"));
	return RESULT(mkdir("one/inside", 0700));
}

static bool is_mounted(const char *inside)
{
	return access(inside, F_OK) == 0;
}

static outcome mount_memory(void)
{
	return RESULT(mount("memory", "two", "tmpfs", 0, "size=64k"));
}

static bool two_is_mounted(void)
{
	struct stat place, parent;

	return stat("two", &place) == 0 && stat(".", &parent) == 0 && place.st_dev != parent.st_dev;
}

static outcome unmount(void)
{
	return RESULT(umount("one"));
}

static bool is_unmounted(void)
{
	return !is_mounted("one/inside");
}

static outcome remount(void)
{
	return RESULT(mount(NULL, "one", NULL, MS_REMOUNT | MS_RDONLY, NULL));
}

static bool is_read_only(void)
{
	return mkdir("one/later", 0700) < 0 && errno == EROFS;
}

static outcome move(void)
{
	return RESULT(syscall(SYS_move_mount, AT_FDCWD, "one", AT_FDCWD, "two", 0));
}

static bool is_moved(void)
{
	return is_mounted("two/inside");
}

static outcome exchange_root(void)
{
	return RESULT(syscall(SYS_pivot_root, "one", "one/inside"));
}

static bool is_exchanged(void)
{
	return is_mounted("/inside");
}

static outcome change_root(void)
{
	return RESULT(chroot("one"));
}

static outcome read_statistics(void)
{
	struct statfs statistics;

	return RESULT(statfs(".", &statistics));
}

static outcome synchronise_quotas(void)
{
	return RESULT(syscall(SYS_quotactl, QCMD(Q_SYNC, USRQUOTA), NULL, 0, NULL));
}

/* An ext4 file system with room for quotas: the harness makes it, and its loop device. */
static outcome mount_disk(void)
{
	const char *device = getenv("TRIGGER_DISK");

	if (!device)
		return ENODEV;
	STEP(mkdir("disk", 0700));
	return RESULT(mount(device, "disk", "ext4", 0, "usrquota"));
}

static outcome switch_quotas_on(void)
{
	enum { QFMT_VFS_V1_NUMBER = 4 };

	return RESULT(syscall(SYS_quotactl, QCMD(Q_QUOTAON, USRQUOTA), getenv("TRIGGER_DISK"),
			      QFMT_VFS_V1_NUMBER, "disk/aquota.user"));
}

const struct trigger mount_triggers[] = {
	{ "sb_mount", make_place, mount_memory, two_is_mounted },
	{ "sb_umount", make_mount, unmount, is_unmounted },
	{ "sb_remount", make_mount, remount, is_read_only },
	{ "move_mount", make_mount, move, is_moved },
	{ "sb_pivotroot", make_mount, exchange_root, is_exchanged },
	{ "path_chroot", make_mount, change_root, is_exchanged },
	{ "sb_statfs", NULL, read_statistics },
	{ "quotactl", NULL, synchronise_quotas },
	{ "quota_on", mount_disk, switch_quotas_on },
	{},
};
