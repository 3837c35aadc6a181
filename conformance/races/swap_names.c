/*
 * Names are exchanged beneath a path while it is walked and judged: a file with a symlink to a forbidden one, a
 * directory with a symlink to a forbidden one, and a directory moved so that `..` leads elsewhere.
 *
 * Two exchange at once: a sibling thread, and a process outside that run_races.py starts and nobody slows down.
 */
#define _GNU_SOURCE
#include "race.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOPS 450
#define ENTRY "swap/entry"
#define ENTRY_LINK "swap/entry.link"
#define FOLDER "swap/folder"
#define FOLDER_LINK "swap/folder.link"

static void exchange(const char *one, const char *other)
{
	renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE);
}

static void twist_entry(unsigned which)
{
	(void)which;
	exchange(ENTRY, ENTRY_LINK);
}

static void twist_folder(unsigned which)
{
	(void)which;
	exchange(FOLDER, FOLDER_LINK);
}

static void twist_deep(unsigned which)
{
	(void)which;
	exchange(GRANTED "deep", PRIVATE "deep");
}

static enum outcome read_path(const char *path)
{
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return refusal(errno);
	bool secret = is_secret(fd);
	close(fd);
	return secret ? OUTCOME_SUCCESS : OUTCOME_ALLOWED;
}

static enum outcome read_entry(void)
{
	return read_path(ENTRY);
}

static enum outcome read_in_folder(void)
{
	return read_path(FOLDER "/file");
}

static enum outcome read_above(void)
{
	static char path[PATH_MAX] = GRANTED;

	/* Down and up again so often that the exchange is bound to come in between. */
	if (!strstr(path, "file")) {
		for (int turn = 0; turn < HOPS; turn++)
			strcat(path, "deep/../");
		strcat(path, "file");
	}
	return read_path(path);
}

static enum outcome write_in_folder(void)
{
	int fd = open(FOLDER "/file", O_WRONLY | O_TRUNC);
	struct stat found;

	if (fd < 0)
		return refusal(errno);
	close(fd);
	return !stat(PRIVATE "file", &found) && found.st_size == 0 ? OUTCOME_SUCCESS : OUTCOME_ALLOWED;
}

/* What is made may by then lie in the folder or in what was exchanged for it. */
static enum outcome made(int result, int (*take_away)(const char *))
{
	enum outcome outcome = result < 0 ? refusal(errno) : OUTCOME_ALLOWED;

	if (exists(PRIVATE "new")) {
		take_away(PRIVATE "new");
		return OUTCOME_SUCCESS;
	}
	if (result >= 0 && take_away(FOLDER "/new") < 0)
		take_away(FOLDER_LINK "/new");
	return outcome;
}

static enum outcome create_in_folder(void)
{
	int fd = open(FOLDER "/new", O_WRONLY | O_CREAT, 0600);
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	return made(fd, unlink);
}

static enum outcome make_directory_in_folder(void)
{
	return made(mkdir(FOLDER "/new", 0700), rmdir);
}

static enum outcome remove_in_folder(void)
{
	enum outcome outcome = unlink(FOLDER "/victim") < 0 ? refusal(errno) : OUTCOME_ALLOWED;

	if (!exists(PRIVATE "victim")) {
		close(open(PRIVATE "victim", O_WRONLY | O_CREAT, 0600));
		return OUTCOME_SUCCESS;
	}
	close(open(FOLDER "/victim", O_WRONLY | O_CREAT, 0600));
	return outcome;
}

static enum outcome change_mode(void)
{
	struct stat found;
	enum outcome outcome = chmod(ENTRY, 0604) < 0 ? refusal(errno) : OUTCOME_ALLOWED;

	if (!stat(PRIVATE "file", &found) && (found.st_mode & 0777) == 0604) {
		chmod(PRIVATE "file", 0600);
		return OUTCOME_SUCCESS;
	}
	return outcome;
}

/* What a good run may meet when somebody else exchanges the names: the file under its other name. */
static void also_entry(void)
{
	exchange(ENTRY, ENTRY_LINK);
	int fd = open(ENTRY_LINK, O_RDONLY);
	if (fd >= 0)
		close(fd);
	exchange(ENTRY, ENTRY_LINK);
}

static const struct race races[] = {
	{ .name = "open-file", .twist = twist_entry, .twist_is_judged = true, .attempt = read_entry, .also = also_entry },
	{ .name = "open-beneath", .twist = twist_folder, .twist_is_judged = true, .attempt = read_in_folder },
	{ .name = "truncate-beneath", .twist = twist_folder, .twist_is_judged = true, .attempt = write_in_folder },
	{ .name = "open-dotdot", .twist = twist_deep, .twist_is_judged = true, .attempt = read_above },
	{ .name = "create-beneath", .twist = twist_folder, .twist_is_judged = true, .attempt = create_in_folder },
	{ .name = "mkdir-beneath", .twist = twist_folder, .twist_is_judged = true, .attempt = make_directory_in_folder },
	{ .name = "unlink-beneath", .twist = twist_folder, .twist_is_judged = true, .attempt = remove_in_folder },
	{ .name = "chmod", .twist = twist_entry, .twist_is_judged = true, .attempt = change_mode },
};

int main(int argc, char **argv)
{
	return RACE_MAIN(argc, argv, races);
}
