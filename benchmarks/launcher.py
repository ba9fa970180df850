"""Run one command in a shell; print its seconds, exit status, processor seconds, and its largest process's peak in KiB.

A process of its own, and a small one: what Linux tells of a process's memory begins with that of the one that started
it, so the benchmark itself, having made a corpus, would stand in for every tool that needs less.
"""

import os
import sys
import time

if __name__ == "__main__":
    quiet = f"({sys.argv[1]}) < /dev/null > /dev/null 2>&1"
    started = time.perf_counter()
    process = os.posix_spawn("/bin/sh", ["/bin/sh", "-c", quiet], os.environ)
    _, status, usage = os.wait4(process, 0)
    print(
        time.perf_counter() - started,
        os.waitstatus_to_exitcode(status),
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss,
    )
