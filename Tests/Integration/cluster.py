"""One throw-away PostgreSQL for the whole run, shared by all workers."""

import shutil
import subprocess
from pathlib import Path

import psycopg

from machine import as_owner, make_folder, postgres_program
from waiting import eventually

HBA = """\
local all,replication all trust
host replication all 127.0.0.1/32 trust
host all boss 127.0.0.1/32 trust
host all trusty 127.0.0.1/32 trust
host all plainy 127.0.0.1/32 password
host all hashy 127.0.0.1/32 md5
host all salty 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""

SETTINGS = """\
listen_addresses = '127.0.0.1'
unix_socket_directories = '{folder}'
max_connections = 500
wal_level = logical
shared_buffers = 64MB
fsync = off
full_page_writes = off
synchronous_commit = off
autovacuum = off
log_connections = on
log_line_prefix = '%m [%p] %u@%d '
"""

ROLES = """
create role boss superuser login;
create role trusty login;
create role other login;
create role capped login;
set password_encryption = 'md5';
create role hashy login password 'md5-secret';
set password_encryption = 'scram-sha-256';
create role plainy login password 'plain-secret';
create role salty login password 'scram-secret';
grant create on schema public to public;
"""


class Cluster:
    """A running PostgreSQL in `folder`, listening on 127.0.0.1:`port` and on a unix socket in `folder`."""

    def __init__(self, folder, port):
        self.folder, self.port = Path(folder), port
        self.data = self.folder / "pgdata"
        self.log = self.folder / "postgres.log"

    def create(self):
        """initdb, configure, start, make the roles."""
        make_folder(self.folder)
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C.UTF-8")
        (self.data / "pg_hba.conf").write_text(HBA)
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write(SETTINGS.format(folder=self.folder))
        self._run("pg_ctl", "-D", self.data, "-l", self.log, "-w", "-o", f"-p {self.port}", "start")
        self.execute("template1", ROLES)

    def destroy(self):
        """Stop at once and leave nothing behind."""
        self._run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def connect(self, database="postgres", user="postgres", **more):
        """A direct connection, past any pooler."""
        return psycopg.connect(
            host=str(self.folder), port=self.port, user=user, dbname=database, autocommit=True, **more
        )

    def execute(self, database, sql):
        """Run statements directly as the superuser."""
        with self.connect(database) as connection:
            connection.execute(sql)

    def rows(self, database, sql, *arguments):
        """Rows of a direct query as the superuser."""
        with self.connect(database) as connection:
            return connection.execute(sql, arguments or None).fetchall()

    def _run(self, program, *arguments, check=True):
        done = subprocess.run(
            [postgres_program(program), *map(str, arguments)],
            check=False, capture_output=True if program != "pg_ctl" else False,
            stdout=subprocess.DEVNULL if program == "pg_ctl" else None,
            stdin=subprocess.DEVNULL, cwd="/", **as_owner(),
        )
        if check and done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr!r}; see {self.log}")


class Database:
    """A worker's own database inside the shared cluster."""

    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        cluster.execute("postgres", f'drop database if exists "{name}" with (force)')
        cluster.execute("postgres", f'create database "{name}"')
        cluster.execute(name, "grant all on schema public to public")

    @property
    def port(self):
        """The port of the cluster."""
        return self.cluster.port

    def execute(self, sql):
        """Run statements directly as the superuser."""
        self.cluster.execute(self.name, sql)

    def rows(self, sql, *arguments):
        """Rows of a direct query as the superuser."""
        return self.cluster.rows(self.name, sql, *arguments)

    def backends(self, where="true"):
        """How many server sessions PostgreSQL has in this database, direct connections (as postgres) not counted."""
        return self.rows(
            "select count(*)::int from pg_stat_activity where datname = current_database() "
            f"and usename <> 'postgres' and backend_type = 'client backend' and ({where})"
        )[0][0]

    def runs(self, start):
        """Whether a query that begins like this has begun: a cancel request that comes before hits nothing."""
        return self.backends(f"state = 'active' and query like '{start}%'") > 0

    def clear(self):
        """Wait until no session of an earlier test is left."""

        def empty():
            if self.backends() == 0:
                return True
            self.kill_backends()
            return False

        eventually(empty, "sessions of earlier tests are gone")

    def kill_backends(self, where="true"):
        """Terminate the pooler's server sessions."""
        self.rows(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
            f"and usename <> 'postgres' and backend_type = 'client backend' and ({where})"
        )
