"""Humbaba that follows a PostgreSQL of Debian's with the same million assignments."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import facts
import load
from measured import Timed, until
from sidecar import Humbaba, copy_store

READER = "humbaba_reader"
COLUMNS = "principal_type, principal_id, role, scope_type, scope_id"
# All rows are compared at a moment between half of that and that after the last time.
COMPARE_SECONDS = 20


def programs():
    """The folder of the newest installed version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not found:
        sys.exit("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1]


class Postgres:
    """A server on a Unix socket, in a folder of its own."""

    def __init__(self):
        self.bin, self.folder = programs(), Path(tempfile.mkdtemp(prefix="humbaba-bench-"))
        # It does not run as root.
        self.account = {}
        if os.getuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self.account = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": [], "cwd": "/"}
        self.data = self.folder / "data"
        self.run("initdb", "-D", self.data, "-A", "trust", "-U", "postgres")
        options = f"-k {self.folder} -c listen_addresses=''"
        self.run("pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "-o", options, "start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "stop")
        shutil.rmtree(self.folder)

    def run(self, program, *arguments):
        command = [str(part) for part in (self.bin / program, *arguments)]
        with load.LOG.open("a") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log, **self.account)

    def psql(self, **options):
        command = [self.bin / "psql", "-qAt", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U", "postgres"]
        return subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, text=True, **options, **self.account)

    def execute(self, pieces):
        psql = self.psql(stdout=subprocess.DEVNULL)
        for piece in pieces:
            psql.stdin.write(piece)
        psql.stdin.close()
        if psql.wait() != 0:
            sys.exit("PostgreSQL refuses a statement")


class Writer:
    """A connection of the application's."""

    def __init__(self, server):
        self.psql = server.psql(stdout=subprocess.PIPE)

    def put(self, user):
        row = f"'User', '{user}', 'viewer', 'Site', 'site-0000000'"
        self.psql.stdin.write(f"INSERT INTO humbaba.assignments ({COLUMNS}) VALUES ({row});\n\\echo done\n")
        self.psql.stdin.flush()
        assert self.psql.stdout.readline() == "done\n"


def filled(server, binary):
    """Makes the tables and writes the rows."""
    made = subprocess.run([binary, "directory", "schema", "--reader", READER], check=True, capture_output=True, text=True)
    server.execute([f"CREATE ROLE {READER} LOGIN;", made.stdout])
    rows = (f"User,{user},{role},Site,{site}\n" for user, role, site in facts.assignments())
    copy = f"COPY humbaba.assignments ({COLUMNS}) FROM STDIN (FORMAT csv);\n"
    server.execute([copy, *rows, "\\.\n", "ANALYZE;\n"])


def measure(args, scratch, starts, waits):
    """Times the start and, while all rows are compared again and again, changes of one row."""
    policies = scratch / "policies"
    copy_store(policies)
    with Postgres() as server:
        filled(server, args.binary)
        url = scratch / "url"
        url.write_text(f"host={server.folder} user={READER} dbname=postgres")
        settings = [f"directory.postgres_url_file={url}", f"directory.compare_s={COMPARE_SECONDS}"]
        flags = ["--directory", "hitkeep=postgres", *(part for pair in settings for part in ("--set", pair))]
        with Humbaba(args.binary, policies, *flags) as humbaba:
            starts.append(("Humbaba, PostgreSQL", humbaba.took, humbaba.memory(), humbaba.peak()))
            writer, resident = Writer(server), humbaba.memory()
            humbaba.forget_peak()
            steps, end, number = [], time.monotonic() + 3 * COMPARE_SECONDS, 0

            def change(user):
                def step():
                    writer.put(user)
                    until(humbaba.may_view(user, "site-0000000"))
                return step
            while time.monotonic() < end:
                number += 1
                steps.append(Timed(humbaba, [change(f"changed-{number}")]).p50)
                time.sleep(0.05)
            steps.sort()
            waits.append(("Humbaba, PostgreSQL, all rows compared", len(steps), steps[len(steps) // 2] / 1e3,
                          steps[-1] / 1e3, resident, humbaba.peak()))
