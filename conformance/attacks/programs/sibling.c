/*
 * A process with a secret in its memory, beside the victim. It says where the secret lies, as an attacker would find
 * out, and waits; the secret itself stands in no file: it is put together at run time.
 */
#include <stdio.h>
#include <unistd.h>

static char secret[] = "rhcmhof!rdbsdu";

int main(void)
{
	for (char *at = secret; *at; at++)
		*at ^= 1;
	printf("%p %zu\n", (void *)secret, sizeof(secret) - 1);
	fflush(stdout);
	for (;;)
		pause();
}
