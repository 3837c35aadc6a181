/*
 * The program that is executed, or is not to be. It leaves its letter twice: in a file that it inherited, which no
 * one judges, and in one that it opens itself, as the allowed program does. Without libc, so that 100,000 of them
 * are cheap. PRIVATE_PROGRAM stands in the forbidden one, for the naive supervisor to find.
 */
#include <fcntl.h>
#include <sys/syscall.h>

#include "programs.h"

static long call(long number, long a, long b, long c, long d)
{
#if defined(__x86_64__)
	long result;
	register long r10 __asm__("r10") = d;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
#endif
}

static const char letter[] = LETTER;
static const char name[] __attribute__((used)) = PROGRAM_NAME;

void _start(void)
{
	call(SYS_write, RAN_FD, (long)letter, 1, 0);
	long proof = call(SYS_openat, AT_FDCWD, (long)PROOF, O_WRONLY | O_APPEND, 0);
	if (proof >= 0)
		call(SYS_write, proof, (long)letter, 1, 0);
	call(SYS_exit_group, 0, 0, 0, 0);
}
