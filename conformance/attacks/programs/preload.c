/* A library that speaks as soon as it is loaded. */
#include <string.h>
#include <unistd.h>

__attribute__((constructor)) static void loaded(void)
{
	static const char said[] = "preloaded\n";

	if (write(1, said, strlen(said)) < 0)
		_exit(1);
}
