/*
 * A sibling thread rewrites the path of an exec while it is judged.
 */
#include "programs.h"

static struct flipped_path path;

static void twist(unsigned which)
{
	flip_path(&path, which);
}

static void aim_at_program(void)
{
	flipped_path_set(&path, "program");
	open_logs();
}

static void aim_at_script(void)
{
	flipped_path_set(&path, "script");
	open_logs();
}

static enum outcome run(void)
{
	return run_program(path.text, -1);
}

static const struct race races[] = {
	{ .name = "program", .prepare = aim_at_program, .twist = twist, .attempt = run },
	{ .name = "script", .prepare = aim_at_script, .twist = twist, .attempt = run },
};

int main(int argc, char **argv)
{
	return RACE_MAIN(argc, argv, races);
}
