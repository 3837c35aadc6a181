"""Opens what it is told to, one line a file: the flags, the descriptor of a directory or -1, the path. Says how it went.

`hold PATH` opens a directory first, and says its descriptor.
"""

import os
import sys

for line in sys.stdin:
    word, *rest = line.split()
    if word == "hold":
        print(os.open(rest[0], os.O_PATH | os.O_DIRECTORY), flush=True)
        continue
    directory, path = int(rest[0]), rest[1]
    try:
        os.close(os.open(path, int(word), dir_fd=None if directory < 0 else directory))
        print("opened", flush=True)
    except PermissionError:
        print("refused", flush=True)
