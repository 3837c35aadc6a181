/* What an attacker wants to run; linked statically, so that its exec is the only event it needs. */
#include <string.h>
#include <unistd.h>

int main(void)
{
	static const char said[] = "intruder ran\n";

	return write(1, said, strlen(said)) < 0;
}
