"""Clients that go away in the middle, are slow, or do not speak HTTP."""

import asyncio
import time

from book import Asked
from clients import METHODS_WITH_BODY, Client
from wire import any_size, chunk, content, head

HEAD_TIMEOUT, IDLE_TIMEOUT = 4, 6
# The tolerance for closing a connection on a busy machine.
LATE = 6
SMALL_BODY_LIMIT = 64 * 1024
# More than kernels buffer on the way.
STUCK_BYTES = 16 * 1024 * 1024


class LeavesWhileSending(Client):
    """Its body must not arrive as a whole one."""

    async def turn(self):
        connection = await self.open()
        body = content(self.name, 2 + any_size(self.chance))
        act = self.chance.choice(["body", "early"])
        asked, start, data = self.request(act, 100, self.chance.choice(METHODS_WITH_BODY), body=body, route=self.any_route())
        self.book.uploads[asked.id] = None
        # At least the last byte of the body, or the last chunk, is missing.
        await connection.send(start + data[:self.chance.randrange(len(data) - 7 if len(data) > len(body) else len(data))])
        await self.leave(connection)

    async def leave(self, connection):
        await asyncio.sleep(self.chance.choice([0, 0, 0.01, 0.3]))
        how = self.chance.choice(["close", "reset", "end"])
        self.book.note(self.kind, how)
        if how == "reset":
            connection.reset()
        elif how == "end":
            # It continues to listen, against HTTP: the gateway may respond, but must close soon.
            connection.end()
            began = time.monotonic()
            await connection.until_closed()
            if time.monotonic() - began > IDLE_TIMEOUT + LATE:
                self.book.violation(self.kind, f"half closed, and still open after {time.monotonic() - began:.1f} s")
        self.close()


class LeavesWhileReading(LeavesWhileSending):
    async def turn(self):
        connection = await self.open(4096)
        act, size = self.chance.choice(["body", "chunks", "drip"]), 200_000 + any_size(self.chance)
        asked, start, _ = self.request(act, size, route=self.any_route())
        await connection.send(start)
        wanted = self.chance.randrange(150_000)
        while len(connection.buffer) < wanted and await connection.more():
            pass
        if self.chance.random() < 0.5:
            connection.reset()
        self.book.note(self.kind, "left")
        self.close()


class LeavesAfterAsking(LeavesWhileSending):
    async def turn(self):
        connection = await self.open()
        _, start, data = self.request(**self.anything())
        await connection.send(start + data)
        await self.leave(connection)


class Slow(Client):
    """Slow to send its head, its body, or to read; but never so slow that it may be given up."""

    think = 0.3

    async def turn(self):
        how = self.chance.choice(["head", "body", "answer"])
        self.kind = f"Slow ({how})"
        connection = await self.open(4096 if how == "answer" else None)
        if how == "head":
            asked, start, _ = self.request("body", any_size(self.chance) % 5000)
            await connection.send_slowly(start, 1, 0.015, within=HEAD_TIMEOUT / 2)
            await self.exchange(asked, b"")
        elif how == "body":
            asked, start, data = self.request("body", 100, "POST", body=content(self.name, 20 + any_size(self.chance) % 200_000))
            await connection.send(start)
            sending = asyncio.create_task(connection.send_slowly(data, len(data) // 20 + 1, self.chance.uniform(0, 0.3)))
            await self.exchange(asked, b"")
            sending.cancel()
            # Whether all of it was sent before the response is unknown.
            self.close()
        else:
            asked, start, _ = self.request(self.chance.choice(["body", "chunks"]), self.chance.randrange(400_000))
            connection.pause, connection.read_bytes = 0.03, 4096
            await self.exchange(asked, start)
        self.close()


class Stuck(Client):
    """Stops in the middle of a head, of a body, or of reading, and is to be closed in time."""

    async def turn(self):
        how = self.chance.choice(["nothing", "head", "trickle", "body", "pause", "answer"])
        self.kind = f"Stuck ({how})"
        connection, sending = await self.open(4096 if how == "answer" else None), None
        began, limit = time.monotonic(), HEAD_TIMEOUT
        if how == "head":
            await connection.send(head("GET", "/livez")[:-2])
        elif how == "trickle":
            # A head that arrives slowly is late all the same.
            sending = asyncio.create_task(connection.send_slowly(b"GET /livez HTTP/1.1\r\nX: " + b"x" * 1000, 1, 0.1))
        elif how == "body":
            body = content(self.name, 1000 + any_size(self.chance))
            asked, start, data = self.request("body", 100, "POST", body=body, framing="length")
            self.book.uploads[asked.id] = None
            await connection.send(start + data[:-1])
            limit = IDLE_TIMEOUT
        elif how == "pause":
            await connection.send(head("GET", "/livez"))
            limit = IDLE_TIMEOUT
        elif how == "answer":
            _, start, _ = self.request("body", STUCK_BYTES)
            await connection.send(start)
            # It looks when it should be over, and then finds the kernel's buffer, but never all of it.
            await asyncio.sleep(IDLE_TIMEOUT + LATE)
            limit = IDLE_TIMEOUT + LATE
        came = len(await connection.until_closed())
        took = time.monotonic() - began
        if sending:
            sending.cancel()
        self.book.note(self.kind, "closed")
        if took > limit + LATE or came >= STUCK_BYTES:
            self.book.violation(self.kind, f"closed after {took:.1f} s and {came:,} bytes; the limit is {limit} s")
        self.close()


class TooLarge(Client):
    """More than the route allows, by its length or in chunks. Nothing of it arrives as a whole body."""

    think = 0.3

    async def turn(self):
        if not self.connection:
            await self.open()
        size = SMALL_BODY_LIMIT + self.chance.choice([0, 1, 5000, 3_000_000])
        fits = size <= SMALL_BODY_LIMIT
        expected = {} if fits else {"statuses": [], "refusals": [413]}
        asked, start, data = self.request("body", 100, "POST", route="small", body=content(self.name, size), **expected)
        if not fits:
            self.book.uploads[asked.id] = None
        await self.exchange(asked, start + data)


class Early(Client):
    """The service answers before it has read the body, and may not read it at all."""

    async def turn(self):
        await self.open()
        body = content(self.name, any_size(self.chance))
        # A connection that the service closes during a body may lose the response.
        asked, start, data = self.request("early", self.chance.randrange(3000), "POST", body=body, refusals=[502],
                                          route=self.any_route())
        await self.exchange(asked, start + data, may_break=True)
        self.close()


class Intruder(Client):
    """No token, a wrong one, one that was tampered with."""

    async def turn(self):
        if not self.connection:
            await self.open()
        forged = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJzdWIiOiJyb290IiwiZXhwIjo0MTAyNDQ0ODAwfQ."
        headers, status = self.chance.choice([
            ([], 401), (["Authorization: Bearer " + "x" * 40 + ".y.z"], 401), (["Authorization: Bearer"], 400),
            ([f"Authorization: Bearer {forged}"], 401), (["Authorization: Basic cm9vdDpyb290"], 401),
            (["Authorization: Bearer a.b.c", "Authorization: Bearer a.b.c"], 400),
        ])
        body = content(self.name, any_size(self.chance)) if self.chance.random() < 0.3 else None
        asked, start, data = self.request("body", 100, "GET" if body is None else "POST", headers=headers, route="token", body=body,
                                          statuses=[], refusals=[status])
        self.book.hidden.add(asked.id)
        await self.exchange(asked, start + data)


class Malformed(Client):
    """Heads that are refused, each with a good request behind it that must not be seen."""

    async def turn(self):
        connection = await self.open()
        hidden, start, _ = self.request("body", 100)
        self.book.hidden.add(hidden.id)
        good = head("GET", "/livez")
        statuses, data = self.chance.choice([
            ([400], b"GARBAGE\r\n\r\n"), ([400], b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"),
            ([400], self.chance.randbytes(50) + b"\n\r\n\r\n"),
            ([505], b"GET /livez HTTP/3.7\r\nHost: x\r\n\r\n"), ([400], b"GET /livez HTTP/1.1\r\n\r\n"),
            ([400], with_header("Host: y")), ([400], with_header("Content-Length: 3", "Transfer-Encoding: chunked")),
            ([400], with_header("Content-Length: 3", "Content-Length: 4")), ([400], with_header("Content-Length: +5")),
            ([400], with_header("Transfer-Encoding: gzip, chunked")), ([400], with_header("Transfer-Encoding : chunked")),
            ([400], head("POST", "/livez", ["Transfer-Encoding: chunked"], "1.0")), ([400], with_header("X: a", " folded")),
            ([400], good.replace(b"\r\n", b"\n")), ([400], with_header("X: a\0b")), ([431], with_header("X: " + "x" * 20_000)),
            ([431], with_header(*(f"X-{n}: x" for n in range(150)))), ([501], b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n"),
        ])
        await self.exchange(Asked(self.kind, "GET", f"{data[:60]!r}", refusals=statuses), data + start)
        if self.connection:
            self.book.violation(self.kind, f"{data[:60]!r}: the answer does not say that the connection is closed")
        self.close()
        del connection
        await self.send_bad_chunks()

    async def send_bad_chunks(self):
        """A body that is malformed is told when its head has gone on already."""
        await self.open()
        asked, start, _ = self.request("body", 100, "POST", body=b"", framing="chunks", statuses=[], refusals=[400])
        self.book.uploads[asked.id] = None
        hidden, behind, _ = self.request("body", 100)
        self.book.hidden.add(hidden.id)
        bad = self.chance.choice([b"zz\r\n", b"-1\r\n", b"3\r\nabcd\r\n", b"3\nabc\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n"])
        await self.exchange(asked, start + chunk(b"good") + bad + behind)
        self.close()


def with_header(*lines):
    return head("POST", "/livez", lines)
