// SPDX-License-Identifier: Apache-2.0 OR MIT
/* Names and attributes of files. */
#include "triggers.h"
#include <linux/capability.h>
#include <sys/xattr.h>

static int fd = -1;

static bool exists(const char *name)
{
	return faccessat(AT_FDCWD, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool new_exists(void)
{
	return exists("new");
}

static bool old_is_gone(void)
{
	return !exists("old");
}

static outcome make_old(void)
{
	STEP(fd = open("old", O_RDWR | O_CREAT, 0600));
	return 0;
}

static outcome make_old_folder(void)
{
	return RESULT(mkdir("old", 0700));
}

static outcome create(void)
{
	return RESULT(open("new", O_WRONLY | O_CREAT | O_EXCL, 0600));
}

static outcome make_folder(void)
{
	return RESULT(mkdir("new", 0700));
}

static outcome make_node(void)
{
	return RESULT(mknod("new", S_IFIFO | 0600, 0));
}

static outcome make_symlink(void)
{
	return RESULT(symlink("target", "new"));
}

static outcome make_link(void)
{
	return RESULT(link("old", "new"));
}

static outcome remove_name(void)
{
	return RESULT(unlink("old"));
}

static outcome remove_folder(void)
{
	return RESULT(rmdir("old"));
}

static outcome change_name(void)
{
	return RESULT(rename("old", "new"));
}

static outcome change_mode(void)
{
	return RESULT(fchmod(fd, 0640));
}

/* Without statx, which would be an event of its own: only a changed file can be opened so. */
static bool mode_is_changed(void)
{
	struct stat status;

	return fstat(fd, &status) == 0 && (status.st_mode & 07777) == 0640;
}

static outcome read_attributes(void)
{
	struct stat status;

	return RESULT(stat("old", &status));
}

#define ATTRIBUTE "trusted.quixote"

static outcome make_attribute(void)
{
	outcome error = make_old();

	return error ? error : RESULT(fsetxattr(fd, ATTRIBUTE, "1", 1, 0));
}

static bool has_attribute(void)
{
	char value[8];

	return fgetxattr(fd, ATTRIBUTE, value, sizeof(value)) >= 0;
}

static bool has_no_attribute(void)
{
	return !has_attribute();
}

static outcome set_attribute(void)
{
	return RESULT(fsetxattr(fd, ATTRIBUTE, "1", 1, 0));
}

static outcome remove_attribute(void)
{
	return RESULT(fremovexattr(fd, ATTRIBUTE));
}

static outcome read_attribute(void)
{
	char value[8];

	return RESULT(fgetxattr(fd, ATTRIBUTE, value, sizeof(value)));
}

static outcome list_attributes(void)
{
	char names[256];

	return RESULT(flistxattr(fd, names, sizeof(names)));
}

static outcome make_privileged(void)
{
	struct vfs_cap_data capabilities = {
		.magic_etc = VFS_CAP_REVISION_2,
		.data[0].permitted = 1 << CAP_NET_BIND_SERVICE,
	};
	outcome error = make_old();

	return error ? error :
		       RESULT(fsetxattr(fd, "security.capability", &capabilities,
					XATTR_CAPS_SZ_2, 0));
}

static outcome write_privileged(void)
{
	return RESULT(write(fd, "x", 1));
}

static bool was_written(void)
{
	return lseek(fd, 0, SEEK_END) == 1;
}

const struct trigger inode_triggers[] = {
	{ "inode_create", NULL, create, new_exists },
	{ "inode_mkdir", NULL, make_folder, new_exists },
	{ "inode_mknod", NULL, make_node, new_exists },
	{ "inode_symlink", NULL, make_symlink, new_exists },
	{ "inode_link", make_old, make_link, new_exists },
	{ "inode_unlink", make_old, remove_name, old_is_gone },
	{ "inode_rmdir", make_old_folder, remove_folder, old_is_gone },
	{ "inode_rename", make_old, change_name, old_is_gone },
	{ "inode_setattr", make_old, change_mode, mode_is_changed },
	{ "inode_setxattr", make_old, set_attribute, has_attribute },
	{ "inode_removexattr", make_attribute, remove_attribute, has_no_attribute },
	{ "inode_getattr", make_old, read_attributes },
	{ "inode_getxattr", make_attribute, read_attribute },
	{ "inode_listxattr", make_attribute, list_attributes },
	{ "inode_killpriv", make_privileged, write_privileged, was_written },
	{},
};
