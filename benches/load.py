"""Servers under h2load's load: what `peers/run` and `served/run` have in common."""

import http.client
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "load"
QUESTIONS = WORK / "questions"
# What the servers say on stderr.
LOG = WORK / "servers.log"
IS_AUTHORIZED = "/humbaba.v1.AuthorizationService/IsAuthorized"
BATCH = "/humbaba.v1.AuthorizationService/BatchIsAuthorized"
GRPC = ["-H", "content-type: application/grpc", "-H", "te: trailers"]


@dataclass
class Question:
    """A message in a file, and a part of every right answer to it."""

    path: str
    file: Path
    answer: bytes
    headers: list = field(default_factory=lambda: GRPC)


def question(name, path=IS_AUTHORIZED):
    # The first field of an answer is its decision, an allow; that of a batch is its first item.
    answer = b"\x08\x01" if path == IS_AUTHORIZED else b"\x0a"
    return Question(path, QUESTIONS / f"{name}.bin", answer)


def cargo(*arguments):
    subprocess.run(["cargo", *arguments], cwd=ROOT, check=True)


def built(profile):
    """The folder to which Cargo builds."""
    return ROOT / "target" / ("debug" if profile == "dev" else profile)


def build_peer(profile):
    """Builds the stock server and writes the questions."""
    cargo("build", "--locked", "--profile", profile, "--example", "peer")
    peer = built(profile) / "examples" / "peer"
    subprocess.run([peer, "write", QUESTIONS], check=True)
    LOG.write_text("")
    return peer


def build_humbaba(profile):
    """Builds the binary as it is shipped, without what tests and benches add to dependencies."""
    cargo("build", "--locked", "--profile", profile, "--bin", "humbaba")
    return built(profile) / "humbaba"


def require(*programs):
    for program in programs:
        if not shutil.which(program):
            package = "nghttp2-client" if program in ("h2load", "nghttp") else program
            sys.exit(f"`{program}` is not installed: install the package `{package}`")


def free_address():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


class Server:
    """A process that answers questions on `address`; it is killed at the end of the `with`."""

    def __init__(self, name, command, asked, address, environment=None):
        self.name, self.asked, self.address = name, asked, address
        # Cerbos, for one, logs every call that h2load leaves unanswered at its end.
        with LOG.open("a") as log:
            begun = time.monotonic()
            self.process = subprocess.Popen(
                [str(part) for part in command],
                env=os.environ | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        try:
            while not self.listens() or self.ask() is None:
                if self.process.poll() is not None:
                    sys.exit(f"{name} ended with {self.process.returncode}; it says why in {LOG}")
                if time.monotonic() - begun > 60:
                    sys.exit(f"{name} gave no right answer for 60 s; see {LOG}")
        except BaseException:
            self.process.kill()
            raise
        self.first_answer = time.monotonic() - begun

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def listens(self):
        host, _, port = self.address.partition(":")
        with socket.socket() as connection:
            if connection.connect_ex((host, int(port))) == 0:
                return True
        time.sleep(0.001)
        return False

    def ask(self, asked=None, address=None):
        """The bytes of the answer, if it is right."""
        asked = asked or self.asked
        command = ["nghttp", "-d", asked.file, *asked.headers, f"http://{address or self.address}{asked.path}"]
        answer = subprocess.run(command, capture_output=True, timeout=60).stdout
        # gRPC frames it by five bytes.
        message = answer[5:] if asked.headers is GRPC else answer
        return answer if asked.answer in message else None

    def cpu(self):
        """Seconds of CPU time, in user mode and in the kernel."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Resident MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s*(\d+)", status)[1]) / 1024

    def load(self, shape, seconds, asked=None, rate=None, times=False, threads=1, address=None, http1=False):
        """What h2load sees with that many connections and calls in flight on each."""
        asked, address = asked or self.asked, address or self.address
        connections, in_flight = shape
        answer = self.ask(asked, address)
        if answer is None:
            sys.exit(f"{self.name} gives no right answer to {asked.file.name}")
        command = ["h2load", "-D", str(seconds), "-c", str(connections), "-m", str(in_flight)]
        command += ["-t", str(min(threads, connections)), "-d", asked.file, *asked.headers]
        if http1:
            command.append("--h1")
        if rate:
            command += ["--rps", str(max(1, round(rate / connections)))]
        log = WORK / "times.log"
        if times:
            log.unlink(missing_ok=True)
            command.append(f"--log-file={log}")
        before = self.cpu()
        said = subprocess.run(
            [*command, f"http://{address}{asked.path}"],
            capture_output=True, text=True, check=True,
        ).stdout
        cpu = self.cpu() - before
        done, failed = (int(re.search(rf"(\d+) {word},", said)[1]) for word in ("done", "failed"))
        data = int(re.search(r"\((\d+)\) data", said)[1])
        if not done:
            sys.exit(f"{self.name} answered nothing in {seconds} s: give it more with --seconds")
        # A refused call has status 200 too, but its answer has no message. Of calls that are under
        # way at the end only the bytes count.
        under_way = connections * in_flight
        if failed or not 0.98 * done <= data / len(answer) <= 1.02 * done + under_way:
            sys.exit(f"{self.name} did not answer every call as the first one:\n{said}")
        return Figures(done / seconds, cpu * 1e6 / done, self.memory(), *(quantiles(log) if times else ()))


@dataclass
class Figures:
    """Calls a second, microseconds of the server's CPU a call, MiB, and microseconds of latency."""

    rate: float
    cpu: float
    memory: float
    p50: float = float("nan")
    p99: float = float("nan")
    p999: float = float("nan")


def quantiles(log):
    """Of the times in h2load's log: start, status, microseconds."""
    with log.open() as lines:
        times = sorted(int(line.rpartition("\t")[2]) for line in lines)
    return [times[min(int(len(times) * share), len(times) - 1)] for share in (0.5, 0.99, 0.999)]


def medians(figures):
    return Figures(*(median(getattr(f, field) for f in figures) for field in vars(figures[0])))


def humbaba(binary, policies=ROOT / "policies", name="humbaba", log=None, http="off", web="off", settings=()):
    """Starts Humbaba; `log` is the file of a decision log."""
    address = free_address()
    command = [binary, "serve", "--policies", policies, "--listen", address]
    command += ["--http-listen", http, "--web-listen", web, "--log-filter", "error"]
    command += [part for setting in settings for part in ("--set", setting)]
    if log:
        command += ["--decision-log", "--decision-log-file", log]
        # Old files would fill the disk.
        command += ["--set", "decision_log.keep_files=1"]
    return Server(name, command, question("one"), address)


class Status:
    """The status page of a running Humbaba, read over one connection."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address, timeout=10)

    def revision(self, store):
        self.connection.request("GET", "/status")
        stores = json.load(self.connection.getresponse())["stores"]
        return next(state["revision"] for state in stores if state["name"] == store)


def machine():
    """The machine in one line."""
    text = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", text)
    release, load = platform.release().split("-")[0], os.getloadavg()[0]
    return (
        f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores shared by client and "
        f"server, Linux {release}; load average before the start {load:.2f}."
    )


def number(value):
    """Three digits that count."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return "" if value != value else f"{value:,.{digits}f}"


def row(*cells):
    print("|", " | ".join(cell if isinstance(cell, str) else number(cell) for cell in cells), "|", flush=True)


def table(title, *columns):
    print(f"\n{title}\n")
    row(*columns)
    print("|---" + "|---:" * (len(columns) - 1) + "|", flush=True)
