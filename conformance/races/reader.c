/*
 * The program with the better identity: it may read the private file.
 */
#include "race.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char octet;

	signal(SIGUSR1, SIG_IGN);
	int fd = open(PRIVATE "file", O_RDONLY);
	if (argc > 1 && !strcmp(argv[1], "wait") && read(STDIN_FILENO, &octet, 1) != 1)
		return 1;
	return fd < 0;
}
