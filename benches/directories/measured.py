"""Processes that are measured, and times of calls."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import load

FOLDER = load.WORK / "directories"


class Process:
    """A child that is killed at the end of the `with`."""

    def __init__(self, command, environment=None):
        self.begun = time.monotonic()
        with load.LOG.open("a") as log:
            self.child = subprocess.Popen(
                [str(part) for part in command], env=os.environ | (environment or {}),
                stdout=subprocess.PIPE, stderr=log, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()

    def cpu(self):
        """Microseconds of CPU time."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Resident MiB."""
        pages = Path(f"/proc/{self.child.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def peak(self):
        """The most MiB that were resident since the start, or since `forget_peak`."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s*(\d+)", status)[1]) / 1024

    def forget_peak(self):
        """Begins anew with the peak at what is resident now."""
        Path(f"/proc/{self.child.pid}/clear_refs").write_text("5")

    def wait_until(self, is_ready):
        """Returns the seconds since the start of the process."""
        while not is_ready():
            if self.child.poll() is not None or time.monotonic() - self.begun > 600:
                sys.exit(f"a server did not come up; see {load.LOG}")
            time.sleep(0.005)
        return time.monotonic() - self.begun


class Timed:
    """Latencies of calls, in microseconds, and the CPU time of the server and of this client for each."""

    def __init__(self, server, calls, warm_up=0):
        calls = list(calls)
        for call in calls[:warm_up]:
            call()
        before, own, times = server.cpu(), time.process_time(), []
        for call in calls:
            begun = time.perf_counter()
            call()
            times.append((time.perf_counter() - begun) * 1e6)
        self.own_cpu = (time.process_time() - own) * 1e6 / len(calls)
        self.cpu = (server.cpu() - before) / len(calls)
        times.sort()
        self.p50, self.p99 = times[len(times) // 2], times[len(times) * 99 // 100]


def until(ask):
    """Asks until the answer is yes."""
    begun = time.monotonic()
    while not ask():
        if time.monotonic() - begun > 60:
            sys.exit("a change never came into force")
