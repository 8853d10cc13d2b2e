"""What `bench/replicas` puts together: PostgreSQL, Redis, three gateways, HAProxy, and a load on all of it."""

import glob
import http.client
import json
import os
import pwd
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

from measure import get, until_200
from peers import free_port

VAULT_KEY = "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE="
GRACE = 4
ROUTES = """
[[routes]]
path = "/api/session"
service = "auth"
upstream_path = "/users/me"
access = "session"
"""


class Postgres:
    """A server of its own, run by the user postgres if this one is root."""

    def __init__(self, folder):
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.folder, self.port = folder / "postgres", free_port()
        self.folder.mkdir()
        if os.getuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self.run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale")
        self.start()

    @property
    def url(self):
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def run(self, program, *arguments):
        command = [f"{self.bin}/{program}", "-D", str(self.folder / "data"), *arguments]
        if os.getuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        # The server inherits the output: with a pipe this would wait for the server's end.
        with open(self.folder.parent / "postgres.log", "ab") as log:
            subprocess.run(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)

    def start(self):
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder}"
        self.run("pg_ctl", "-w", "-o", options, "start")

    def stop(self, mode="fast"):
        self.run("pg_ctl", "-w", "-m", mode, "stop")

    def signal(self, number):
        """To the server and all its processes."""
        pid = int((self.folder / "data/postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in [pid, *map(int, children)]:
            os.kill(each, number)

    def sql(self, text):
        done = subprocess.run(["psql", self.url, "-qAtc", text], capture_output=True, text=True, check=True)
        return done.stdout.strip()


class Redis:
    def __init__(self, folder, processes):
        self.folder, self.processes, self.port = folder / "redis", processes, free_port()
        self.folder.mkdir()
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def start(self):
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "yes", "--dir",
                   str(self.folder)]
        self.process = self.processes.start(command, cwd=self.folder)

    def stop(self):
        self.processes.kill(self.process)


class Gateway:
    def __init__(self, fleet, number):
        self.fleet, self.number = fleet, number
        self.port, self.admin = free_port(), free_port()
        self.folder = fleet.folder / f"gateway-{number}"
        self.folder.mkdir()
        (self.folder / "gateway.toml").write_text(ROUTES)

    def start(self, **more):
        env = {
            "PATH": os.environ["PATH"], "GATEWAY_ENV": "development", "PORT": str(self.port), "ADMIN_ADDR": f"127.0.0.1:{self.admin}",
            "PUBLIC_URL": f"http://127.0.0.1:{self.fleet.port}", "DATABASE_URL": self.fleet.postgres.url,
            "REDIS_URL": self.fleet.redis.url, "VAULT_KEY": VAULT_KEY, "AUTH_SERVICE_URL": self.fleet.service,
            "GITHUB_CLIENT_ID": "x", "GITHUB_CLIENT_SECRET": "x", "LOG_FORMAT": "json", "TRUSTED_PROXIES": "127.0.0.1",
            "MAX_CONNECTIONS_PER_CLIENT": "10000", "MAX_REQUESTS_PER_CLIENT": "10000", "DRAIN_GRACE": f"{GRACE}s"} | more
        self.log = open(self.folder / "log", "ab")
        self.process = self.fleet.processes.start([str(self.fleet.binary)], cwd=self.folder, env=env, output=self.log)

    def ready(self):
        until_200(self.admin, "/readyz")

    def end(self):
        """SIGTERM, and waits until it has ended."""
        self.process.terminate()
        self.process.wait(timeout=60)
        self.fleet.processes.started.remove(self.process)

    def logged(self, text):
        return (self.folder / "log").read_text().count(text)


class Fleet:
    """Three gateways behind HAProxy, which neither retries nor tries another one."""

    def __init__(self, binary, folder, processes):
        self.binary, self.folder, self.processes = binary, folder, processes
        self.postgres, self.redis = Postgres(folder), Redis(folder, processes)
        service = free_port()
        self.service = f"http://127.0.0.1:{service}"
        processes.start([str(binary), "sample-service", f"127.0.0.1:{service}"], cwd=folder)
        self.port = free_port()
        self.gateways = [Gateway(self, number) for number in range(3)]
        for gateway in self.gateways:
            gateway.start()
        for gateway in self.gateways:
            gateway.ready()
        self.balance()

    def balance(self):
        servers = "".join(f"  server gateway{one.number} 127.0.0.1:{one.port} check port {one.admin}\n" for one in self.gateways)
        (self.folder / "haproxy.cfg").write_text(f"""
global
  stats socket {self.folder}/haproxy.sock level admin
defaults
  mode http
  retries 0
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout check 1s
  default-server inter 500ms fall 2 rise 1
frontend all
  bind 127.0.0.1:{self.port}
  default_backend gateways
backend gateways
  balance roundrobin
  option httpchk GET /readyz
  option forwardfor
{servers}""")
        program = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin")
        self.haproxy = self.processes.start([program, "-db", "-f", str(self.folder / "haproxy.cfg")], cwd=self.folder)
        until_200(self.port, "/readyz")

    def call(self, path, body=None, port=None, headers=()):
        """The status and the document."""
        body = None if body is None else json.dumps(body).encode()
        status, text = get(port or self.port, path, headers, body)
        return status, json.loads(text) if text.strip().startswith(b"{") else text

    def token(self, subject="alice", port=None):
        status, pair = self.call("/tokens/create", {"subject": subject}, port)
        assert status == 200, pair
        return pair

    def stop(self):
        self.postgres.stop("immediate")


class Load:
    """So many requests a second of each kind, each kind on connections of its own. An answer of 5xx, and none, has failed; so has a
    401 or 403, as all credentials are valid."""

    def __init__(self, port, kinds, rate, threads=4):
        self.port, self.kinds, self.rate, self.threads = port, kinds, rate, threads
        self.sent, self.failed, self.slowest = Counter(), Counter(), Counter()
        self.why, self.stopped, self.lock = Counter(), threading.Event(), threading.Lock()
        self.workers = [threading.Thread(target=self.ask, args=(kind, number), daemon=True)
                        for kind in kinds for number in range(threads)]

    def __enter__(self):
        for worker in self.workers:
            worker.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for worker in self.workers:
            worker.join()

    def ask(self, kind, number):
        path, headers = self.kinds[kind]
        pause = self.threads / self.rate
        due, connection = time.monotonic() + pause * number / self.threads, None
        while not self.stopped.is_set():
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due + pause, time.monotonic() - 1)
            began = time.monotonic()
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                answer.read()
                status = answer.status
                if answer.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                status, connection = type(error).__name__, None
            with self.lock:
                self.sent[kind] += 1
                self.slowest[kind] = max(self.slowest[kind], time.monotonic() - began)
                if status != 200:
                    self.failed[kind] += 1
                    self.why[kind, status] += 1


def pause(process):
    """For as long as the block lasts, the process does nothing."""
    class Paused:
        def __enter__(self):
            os.kill(process.pid, signal.SIGSTOP)

        def __exit__(self, *_):
            os.kill(process.pid, signal.SIGCONT)
    return Paused()
