/*
 * A program is replaced between its check and its exec: by exchanging names, by writing into it, its interpreter by
 * exchanging names, its script for one with another interpreter.
 *
 * A process outside, that run_races.py starts, exchanges the names too.
 */
#define _GNU_SOURCE
#include "programs.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define IMAGE_MAX 65536

static struct {
	char octets[IMAGE_MAX];
	ssize_t length;
} images[2];

static void twist_program(unsigned which)
{
	(void)which;
	renameat2(AT_FDCWD, "swap/program", AT_FDCWD, "swap/program.other", RENAME_EXCHANGE);
}

static void twist_interpreter(unsigned which)
{
	(void)which;
	renameat2(AT_FDCWD, "swap/interpreter", AT_FDCWD, "swap/interpreter.other", RENAME_EXCHANGE);
}

static void twist_script(unsigned which)
{
	(void)which;
	renameat2(AT_FDCWD, "swap/script", AT_FDCWD, "swap/script.other", RENAME_EXCHANGE);
}

static void twist_content(unsigned which)
{
	int fd = open("swap/written", O_WRONLY);

	if (fd < 0)
		return; /* ETXTBSY: it runs */
	if (pwrite(fd, images[which].octets, images[which].length, 0) != images[which].length)
		die("pwrite");
	close(fd);
}

static void load(int which, const char *path)
{
	int fd = open(path, O_RDONLY);

	images[which].length = read(fd, images[which].octets, IMAGE_MAX);
	if (images[which].length <= 0)
		die(path);
	close(fd);
}

static void prepare_content(void)
{
	load(0, "images/granted");
	load(1, "images/private");
	open_logs();
}

static enum outcome run_swapped(void)
{
	return run_program("swap/program", -1);
}

static enum outcome run_written(void)
{
	return run_program("swap/written", -1);
}

static enum outcome run_interpreted(void)
{
	return run_program("swap/interpreted", -1);
}

static enum outcome run_script(void)
{
	return run_program("swap/script", -1);
}

static const struct race races[] = {
	{ .name = "rename", .prepare = open_logs, .twist = twist_program, .twist_is_judged = true, .attempt = run_swapped },
	{ .name = "write", .prepare = prepare_content, .twist = twist_content, .twist_is_judged = true, .attempt = run_written },
	{ .name = "interpreter", .prepare = open_logs, .twist = twist_interpreter, .twist_is_judged = true, .attempt = run_interpreted },
	{ .name = "script", .prepare = open_logs, .twist = twist_script, .twist_is_judged = true, .attempt = run_script },
};

int main(int argc, char **argv)
{
	return RACE_MAIN(argc, argv, races);
}
