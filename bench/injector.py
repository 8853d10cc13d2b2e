"""The instances of the service, and who torments them: in storms they are killed, stopped and told to misbehave, each by itself;
in calm weather all of them are well, and every answer has to be right."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from instance import MODES
from peers import free_port

HERE = Path(__file__).resolve().parent
STORM_SECONDS, CALM_SECONDS = 16, 14
# After a storm: until unreachable instances are tried again, and slow requests have ended.
SETTLING_SECONDS = 4
# The modes of an instance of HTTP/2: it streams, so it may also reset, lie about lengths, and stall.
HTTP2_MODES = ["good", "slow", "hang-up", "reset", "lie", "stall", "goaway", "garbage"]


class Weather:
    """Whether instances are being tormented."""

    def __init__(self):
        self.calm_since = None

    def was_calm_since(self, moment):
        return self.calm_since is not None and moment > self.calm_since + SETTLING_SECONDS


class Injector:
    def __init__(self, folder, processes, chance, count=3, http2_count=2):
        self.folder, self.processes, self.chance = folder, processes, chance
        port = free_port()
        self.http1_count = count
        # Each has an address of its own: no port of a client can conflict with a restart.
        self.addresses = [(f"127.0.1.{number + 1}", port) for number in range(count + http2_count)]
        self.running = [None] * (count + http2_count)
        self.weather = Weather()
        self.faults = {}

    def urls(self):
        return ",".join(f"http://{address}:{port}" for address, port in self.addresses[:self.http1_count])

    def http2_urls(self):
        return ",".join(f"h2c://{address}:{port}" for address, port in self.addresses[self.http1_count:])

    def speaks_http2(self, number):
        return number >= self.http1_count

    def start(self, number):
        address, port = self.addresses[number]
        script = "instance_http2.py" if self.speaks_http2(number) else "instance.py"
        command = [sys.executable, str(HERE / script), address, str(port), str(self.folder / f"journal-{number}")]
        with open(self.folder / f"instance-{number}.log", "ab") as output:
            self.running[number] = self.processes.start(command, cwd=self.folder, output=output)

    async def until_ready(self, number):
        for _ in range(1000):
            if await self.tell(number, "good"):
                return
            await asyncio.sleep(0.02)
        raise SystemExit(f"faults: an instance does not start: {(self.folder / f'instance-{number}.log').read_text()}")

    async def tell(self, number, mode):
        """Whether the instance has understood."""
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(*self.addresses[number]), 2)
            writer.write(f"GET /mode/{mode} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            said = await asyncio.wait_for(reader.read(12), 2)
            writer.close()
            return said == b"HTTP/1.1 204"
        except (OSError, asyncio.TimeoutError):
            return False

    async def start_all(self):
        for number in range(len(self.addresses)):
            self.start(number)
            await self.until_ready(number)

    async def run(self, until):
        """Storms and calm weather in turn."""
        while time.monotonic() < until:
            self.weather.calm_since = None
            end = min(until, time.monotonic() + STORM_SECONDS)
            await asyncio.gather(*(self.torment(number, end) for number in range(len(self.addresses))))
            self.weather.calm_since = time.monotonic()
            await asyncio.sleep(min(CALM_SECONDS, max(0, until - time.monotonic())))

    async def torment(self, number, end):
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(self.chance.uniform(0, min(2, left)))
            modes = HTTP2_MODES if self.speaks_http2(number) else MODES
            fault = self.chance.choice(["kill", "kill", "stop", *modes[1:]])
            self.faults[fault] = self.faults.get(fault, 0) + 1
            # Sometimes long enough for requests to be given up.
            seconds = self.chance.choice([0.05, 0.5, 1, 2, 6 if fault in ("stop", "slow") else 3])
            if fault == "kill":
                self.processes.kill(self.running[number])
                await asyncio.sleep(seconds)
                self.start(number)
            elif fault == "stop":
                os.kill(self.running[number].pid, signal.SIGSTOP)
                await asyncio.sleep(seconds)
                os.kill(self.running[number].pid, signal.SIGCONT)
            elif await self.tell(number, fault):
                await asyncio.sleep(seconds)
            await self.until_ready(number)
