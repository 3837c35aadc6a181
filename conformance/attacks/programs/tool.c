/* A program of the victim's own, with a library of its own. One byte of either is flipped by an attack. */
#include <stdio.h>

const char *plugin_version(void);
static const char version[] = "tool version A";

int main(void)
{
	printf("%s, %s\n", version, plugin_version());
	return 0;
}
