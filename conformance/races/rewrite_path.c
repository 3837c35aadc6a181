/*
 * A sibling thread rewrites the path of a call between an allowed and a forbidden object while it is judged.
 */
#define _GNU_SOURCE
#include "race.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct flipped_path path;

static void twist(unsigned which)
{
	flip_path(&path, which);
}

static void aim_at_file(void)
{
	flipped_path_set(&path, "file");
}

/* A name that is not there, for what makes one. */
static void aim_at_new(void)
{
	flipped_path_set(&path, "new");
}

/* A name that is there before every attempt, for what takes one away. */
static void aim_at_victim(void)
{
	flipped_path_set(&path, "victim");
}

static enum outcome read_file(void)
{
	int fd = open(path.text, O_RDONLY);
	if (fd < 0)
		return refusal(errno);
	bool secret = is_secret(fd);
	close(fd);
	return secret ? OUTCOME_SUCCESS : OUTCOME_ALLOWED;
}

/* What an act that makes private/new has come to; cleans up after itself. */
static enum outcome made(int result, int (*take_away)(const char *))
{
	enum outcome outcome = result < 0 ? refusal(errno) : OUTCOME_ALLOWED;

	if (exists(PRIVATE "new")) {
		take_away(PRIVATE "new");
		return OUTCOME_SUCCESS;
	}
	if (result >= 0)
		take_away(GRANTED "new");
	return outcome;
}

static enum outcome create_file(void)
{
	int fd = open(path.text, O_WRONLY | O_CREAT | O_EXCL, 0600);
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	return made(fd, unlink);
}

static enum outcome make_directory(void)
{
	return made(mkdir(path.text, 0700), rmdir);
}

static enum outcome make_node(void)
{
	return made(mknod(path.text, S_IFIFO | 0600, 0), unlink);
}

static enum outcome make_symlink(void)
{
	return made(symlink("target", path.text), unlink);
}

static enum outcome make_link(void)
{
	return made(link(GRANTED "file", path.text), unlink);
}

/* The object that is linked is what the sibling changes. */
static enum outcome link_secret(void)
{
	struct stat linked, secret;

	if (link(path.text, GRANTED "new") < 0)
		return refusal(errno);
	bool taken = !stat(GRANTED "new", &linked) && !stat(PRIVATE "file", &secret) && linked.st_ino == secret.st_ino;
	unlink(GRANTED "new");
	return taken ? OUTCOME_SUCCESS : OUTCOME_ALLOWED;
}

static enum outcome rename_to(void)
{
	enum outcome outcome = rename(GRANTED "victim", path.text) < 0 ? refusal(errno) : OUTCOME_ALLOWED;

	if (exists(PRIVATE "new")) {
		rename(PRIVATE "new", GRANTED "victim");
		return OUTCOME_SUCCESS;
	}
	if (outcome == OUTCOME_ALLOWED)
		rename(GRANTED "new", GRANTED "victim");
	return outcome;
}

static enum outcome rename_from(void)
{
	enum outcome outcome = rename(path.text, GRANTED "new") < 0 ? refusal(errno) : OUTCOME_ALLOWED;

	if (!exists(PRIVATE "victim")) {
		rename(GRANTED "new", PRIVATE "victim");
		return OUTCOME_SUCCESS;
	}
	if (outcome == OUTCOME_ALLOWED)
		rename(GRANTED "new", GRANTED "victim");
	return outcome;
}

static enum outcome remove_file(void)
{
	enum outcome outcome = unlink(path.text) < 0 ? refusal(errno) : OUTCOME_ALLOWED;

	if (!exists(PRIVATE "victim")) {
		close(open(PRIVATE "victim", O_WRONLY | O_CREAT, 0600));
		return OUTCOME_SUCCESS;
	}
	if (outcome == OUTCOME_ALLOWED)
		close(open(GRANTED "victim", O_WRONLY | O_CREAT | O_EXCL, 0600));
	return outcome;
}

static enum outcome remove_directory(void)
{
	enum outcome outcome = rmdir(path.text) < 0 ? refusal(errno) : OUTCOME_ALLOWED;

	if (!exists(PRIVATE "folder")) {
		mkdir(PRIVATE "folder", 0700);
		return OUTCOME_SUCCESS;
	}
	if (outcome == OUTCOME_ALLOWED)
		mkdir(GRANTED "folder", 0700);
	return outcome;
}

static void aim_at_folder(void)
{
	flipped_path_set(&path, "folder");
}

static enum outcome change_mode(void)
{
	struct stat found;
	enum outcome outcome = chmod(path.text, 0604) < 0 ? refusal(errno) : OUTCOME_ALLOWED;

	if (!stat(PRIVATE "file", &found) && (found.st_mode & 0777) == 0604) {
		chmod(PRIVATE "file", 0600);
		return OUTCOME_SUCCESS;
	}
	if (outcome == OUTCOME_ALLOWED)
		chmod(GRANTED "file", 0600);
	return outcome;
}

static enum outcome cut_file(void)
{
	struct stat found;
	enum outcome outcome = truncate(path.text, 7) < 0 ? refusal(errno) : OUTCOME_ALLOWED;

	if (!stat(PRIVATE "victim", &found) && found.st_size == 7) {
		truncate(PRIVATE "victim", 0);
		return OUTCOME_SUCCESS;
	}
	return outcome;
}

static enum outcome set_attribute(void)
{
	enum outcome outcome =
		setxattr(path.text, "user.race", "1", 1, 0) < 0 ? refusal(errno) : OUTCOME_ALLOWED;

	if (getxattr(PRIVATE "file", "user.race", NULL, 0) >= 0) {
		removexattr(PRIVATE "file", "user.race");
		return OUTCOME_SUCCESS;
	}
	return outcome;
}

static const struct race races[] = {
	{ .name = "open", .prepare = aim_at_file, .twist = twist, .attempt = read_file },
	{ .name = "create", .prepare = aim_at_new, .twist = twist, .attempt = create_file },
	{ .name = "mkdir", .prepare = aim_at_new, .twist = twist, .attempt = make_directory },
	{ .name = "mknod", .prepare = aim_at_new, .twist = twist, .attempt = make_node },
	{ .name = "symlink", .prepare = aim_at_new, .twist = twist, .attempt = make_symlink },
	{ .name = "link-to", .prepare = aim_at_new, .twist = twist, .attempt = make_link },
	{ .name = "link-from", .prepare = aim_at_file, .twist = twist, .attempt = link_secret },
	{ .name = "rename-to", .prepare = aim_at_new, .twist = twist, .attempt = rename_to },
	{ .name = "rename-from", .prepare = aim_at_victim, .twist = twist, .attempt = rename_from },
	{ .name = "unlink", .prepare = aim_at_victim, .twist = twist, .attempt = remove_file },
	{ .name = "rmdir", .prepare = aim_at_folder, .twist = twist, .attempt = remove_directory },
	{ .name = "chmod", .prepare = aim_at_file, .twist = twist, .attempt = change_mode },
	{ .name = "truncate", .prepare = aim_at_victim, .twist = twist, .attempt = cut_file },
	{ .name = "setxattr", .prepare = aim_at_file, .twist = twist, .attempt = set_attribute },
};

int main(int argc, char **argv)
{
	return RACE_MAIN(argc, argv, races);
}
