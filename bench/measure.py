"""How things are measured: processes and what they cost, and the load that is put on them."""

import os
import re
import signal
import socket
import statistics
import subprocess
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CONNECTIONS = 64
RATE = 2000


class Processes:
    """What this run has started. All of it is stopped again, by its id."""

    def __init__(self, together=False):
        """`together`: in one session. Linux may divide the processor among sessions before it looks at what a thread is
        worth (autogroup), and then one that gives way does so to its own process alone."""
        self.started, self.together = [], together

    def start(self, command, *, cwd, env=None, output=subprocess.DEVNULL):
        # In a session or group of its own: a Ctrl-C reaches this program alone, which then stops the others in order.
        process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=not self.together,
                                   process_group=0 if self.together else None)
        self.started.append(process)
        return process

    def stop(self, process):
        if process in self.started:
            self.started.remove(process)
        everyone = family(process.pid)
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in everyone[1:]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def kill(self, process):
        """At once, and it alone."""
        if process in self.started:
            self.started.remove(process)
        process.kill()
        process.wait()

    def stop_all(self):
        for process in reversed(self.started[:]):
            self.stop(process)


def family(pid):
    """A process and all its descendants."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:
                pass
    return found


def cpu_seconds(pid):
    ticks = 0
    for member in family(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def rss_kib(pid):
    status = (Path(f"/proc/{member}/status").read_text() for member in family(pid))
    return sum(int(re.search(r"VmRSS:\s+(\d+)", text)[1]) for text in status)


def get(port, path, headers=(), body=None, timeout=10, tls=None):
    """One request on a connection of its own: the status and the body."""
    method = "GET" if body is None else "POST"
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += "".join(f"{line}\r\n" for line in headers)
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        if tls:
            connection = tls.wrap_socket(connection, server_hostname="localhost")
        connection.sendall(head.encode() + b"\r\n" + (body or b""))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    if not answer:
        raise ConnectionError("no answer")
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def until_200(port, path, patience=30.0, tls=None):
    """Asks until the answer is 200, and says how many seconds that took."""
    began = time.monotonic()
    while time.monotonic() - began < patience:
        try:
            if get(port, path, tls=tls)[0] == 200:
                return time.monotonic() - began
        except OSError:
            pass
        time.sleep(0.0005)
    raise TimeoutError(f"no 200 at port {port} within {patience:.0f} s")


def wrk(process, port, path, seconds, *, script=None, headers=(), per_bytes=0):
    """Microseconds of CPU per request (or per so many bytes read), of all the processes of a peer."""
    connections = 8 if per_bytes else CONNECTIONS
    # Two seconds, as wrk has it, are not much for 10 MiB on a busy machine.
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    command += sum((["-H", line] for line in headers), [])
    command += (["-s", str(script)] if script else []) + [f"http://127.0.0.1:{port}{path}"]
    before = cpu_seconds(process.pid)
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spent = cpu_seconds(process.pid) - before
    wrong = re.search(r"(Non-2xx.*|Socket errors.*)", said)
    requests, read, unit = re.search(r"(\d+) requests in .*?, ([\d.]+)([KMGT])B read", said).groups()
    if wrong or requests == "0":
        raise SystemExit(f"bench: {' '.join(command)}: {wrong[1] if wrong else 'no answer came to its end'}")
    # A large response that was cut off at the end has a cost, too.
    done = float(read) * 1024 ** " KMGT".index(unit) / per_bytes if per_bytes else int(requests)
    return spent / done * 1e6


def latency(generator, port, path, seconds, rate=RATE):
    """The 50th and 99th percentile at a fixed rate, in microseconds."""
    command = [str(generator), str(port), path, str(rate), str(seconds)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    p50, p99 = said.split()
    return float(p50), float(p99)


def idle_kib(process, port, path, count):
    """KiB per connection that has had one answer and waits. Some go first, so that what is allocated once does not count."""
    def open_one():
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"}"):
            more = connection.recv(65536)
            if not more:
                raise SystemExit(f"bench: port {port} closed a connection without an answer")
            answer += more
        return connection

    connections = [open_one() for _ in range(100)]
    time.sleep(0.5)
    before = rss_kib(process.pid)
    connections += [open_one() for _ in range(count)]
    time.sleep(0.5)
    after = rss_kib(process.pid)
    for connection in connections:
        connection.close()
    return (after - before) / count


class Samples:
    """What was measured, by row and peer."""

    def __init__(self):
        self.values = {}

    def add(self, row, peer, value):
        self.values.setdefault((row, peer), []).append(value)

    def median(self, row, peer):
        values = self.values.get((row, peer))
        return statistics.median(values) if values else None

    def ratio(self, row, peer, other_row, other):
        """The median over the rounds: within a round both had the same weather."""
        ours, theirs = self.values.get((row, peer)), self.values.get((other_row, other))
        return statistics.median(a / b for a, b in zip(ours, theirs)) if ours and theirs else None

    def cell(self, row, peer):
        """`median (lowest–highest)`."""
        values = self.values.get((row, peer))
        if not values:
            return "–"
        middle = statistics.median(values)
        digits = 0 if middle >= 100 else 1
        if len(values) == 1:
            return f"{middle:,.{digits}f}"
        return f"{middle:,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"
