# A descriptor is taken out of a process outside, and written to.
SYSCALL_PIDFD_GETFD = 438
stolen = system_call(SYSCALL_PIDFD_GETFD, os.pidfd_open(parameters["outside_pid"]), 1, 0)
os.write(stolen, b"written by somebody else\n")
result = f"took {os.readlink(f'/proc/self/fd/{stolen}')}"
