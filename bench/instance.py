#!/usr/bin/env python3
"""One instance of the service behind the gateway of `bench/faults`.

    instance.py ADDRESS PORT JOURNAL

A request's path says what the answer is to be: /ROUTE/ID/ACT/NUMBER. Whatever the answer holds follows from the id, so that
whoever asked knows what must come. What arrives is written down in the journal, one line each, which outlives a kill:
`head ID METHOD` for every head, `whole ID SHA-256` for every body that came to its end, `bad …` for what no gateway should send.
`/mode/NAME`, asked directly, makes the instance misbehave from then on; `/mode/good` ends that."""

import asyncio
import hashlib
import os
import random
import socket
import struct
import sys

from wire import chunk, content, in_pieces

MODES = ["good", "slow", "cut", "garbage", "idle", "hang-up"]
# How many requests of a misbehaving instance are affected.
SHARE = 0.7
# Longer than the timeout of the gateway of `bench/faults`.
SLOWEST = 7.0
MASK = 0x5A


class Over(Exception):
    """This connection is not to go on."""


class Request:
    def __init__(self, lines):
        self.line = lines[0].decode("latin-1")
        self.method, self.target, self.version = self.line.split(" ")
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.decode("latin-1").partition(":")
            self.headers.setdefault(name.lower(), []).append(value.strip())
        self.digest = None
        _, self.route, self.id, self.act, number = (self.target.split("/") + [""] * 5)[:5]
        self.number = int(number) if number.isdigit() else 0

    def header(self, name):
        return self.headers.get(name, [None])[0]

    def faults(self):
        """What no gateway should send."""
        if self.version != "HTTP/1.1" or len(self.headers.get("host", [])) != 1:
            yield "the version or Host"
        if "content-length" in self.headers and "transfer-encoding" in self.headers:
            yield "two lengths"
        if self.header("x-ask-id") != self.id:
            yield f"the headers of {self.header('x-ask-id')} at the path"
        if "authorization" in self.headers:
            yield "the caller's token"
        if len(self.headers.get("x-request-id", [])) != 1:
            yield "not one request id"


class Instance:
    def __init__(self, journal):
        self.mode = "good"
        self.chance = random.Random()
        self.journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(self, *words):
        os.write(self.journal, (" ".join(words) + "\n").encode())

    async def serve(self, reader, writer):
        try:
            while True:
                await self.serve_one(reader, writer)
        except (Over, OSError, asyncio.IncompleteReadError):
            pass
        except Exception as error:  # pylint: disable=broad-except
            self.note("bad", repr(error).replace("\n", " "))
        finally:
            writer.close()

    async def serve_one(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        request = Request(head[:-4].split(b"\r\n"))
        if request.route == "mode":
            self.mode = request.id
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            return
        self.note("head", request.id, request.method)
        for fault in request.faults():
            self.note("bad", fault, request.id, request.line)
        mode = self.mode if self.chance.random() < SHARE else "good"
        if request.act != "early":
            if mode == "hang-up" and self.chance.random() < 0.5:
                self.hang_up(writer)
            await self.read_body(request, reader)
        await self.misbehave(mode, request, writer)
        await ACTS[request.act](self, request, reader, writer)
        await writer.drain()
        if mode == "idle":
            await asyncio.sleep(self.chance.uniform(0, 0.03))
            if self.mode == "idle":
                raise Over

    async def read_body(self, request, reader):
        digest, size = hashlib.sha256(), request.header("content-length")
        if request.header("transfer-encoding") == "chunked":
            while length := int(await reader.readuntil(b"\r\n"), 16):
                digest.update(await reader.readexactly(length))
                if await reader.readexactly(2) != b"\r\n":
                    raise ValueError("a chunk without an end")
            while await reader.readuntil(b"\r\n") != b"\r\n":
                pass
        elif size is not None:
            left = int(size)
            while left:
                data = await reader.read(min(left, 65536))
                if not data:
                    raise Over
                digest.update(data)
                left -= len(data)
        else:
            return
        request.digest = digest.hexdigest()
        self.note("whole", request.id, request.digest)

    def hang_up(self, writer):
        """Closes, with an end or with a reset."""
        if self.chance.random() < 0.5:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Over

    async def misbehave(self, mode, request, writer):
        if mode == "slow":
            await asyncio.sleep(self.chance.choice([0.1, 0.5, 1, SLOWEST]))
        elif mode == "hang-up" or (mode in ("cut", "garbage") and request.act in ("status", "upgrade")):
            # Garbage, too, mostly begins with 200, which is none of their answers.
            self.hang_up(writer)
        elif mode == "cut":
            whole = answer_head(request, 200, [f"Content-Length: {request.number + 1}"]) + content(request.id, request.number)
            writer.write(whole[:self.chance.choice([1, 10, 60, len(whole) // 2, len(whole) - 1])])
            await writer.drain()
            await asyncio.sleep(self.chance.choice([0, 0.01, 0.2]))
            self.hang_up(writer)
        elif mode == "garbage":
            await self.talk_garbage(request, writer)

    async def talk_garbage(self, request, writer):
        """What is no answer, or an answer with something wrong about it: never one that would be right for somebody else."""
        ok = f"HTTP/1.1 200 OK\r\nX-Answer-Id: {request.id}\r\n".encode()
        garbage = self.chance.choice([
            random.randbytes(64), b"HTTP/1.1 2x0 OK\r\n\r\n", b"220 smtp ready\r\n", b"HTTP/1.1 200 OK",
            ok + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", ok + b"Content-Length: -1\r\n\r\n",
            ok + b"Content-Length: 1e3\r\n\r\n", ok + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            ok + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", ok + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
            ok + b"no colon\r\n\r\n", ok + b"X: \0\r\n\r\n", ok + b"X-Y: z\r\n" * 1000 + b"\r\n", ok + b"X: " + b"y" * 200_000,
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 5000, b"HTTP/1.1 101 Switching\r\n\r\n",
            self.twice(request), self.surplus(request),
        ])
        writer.write(garbage)
        await writer.drain()
        if self.chance.random() < 0.5:
            await asyncio.sleep(1)
        self.hang_up(writer)

    @staticmethod
    def twice(request):
        """A right answer that says its length twice."""
        if request.act != "body":
            return b""
        body = b"" if request.method == "HEAD" else content(request.id, request.number)
        return answer_head(request, 200, [f"Content-Length: {request.number}"] * 2) + body

    @staticmethod
    def surplus(request):
        """A right answer and, in the same breath, one that nobody asked for."""
        if request.act != "body" or request.method == "HEAD" or request.number > 4096:
            return b""
        right = answer_head(request, 200, [f"Content-Length: {request.number}"]) + content(request.id, request.number)
        return right + b"HTTP/1.1 200 OK\r\nX-Answer-Id: forged\r\nContent-Length: 6\r\n\r\nforged"

    async def body(self, request, reader, writer):
        length = f"Content-Length: {request.number}"
        writer.write(answer_head(request, 200, [length]))
        if request.method != "HEAD":
            for piece in in_pieces(content(request.id, request.number), self.chance, 5):
                writer.write(piece)
                await writer.drain()

    async def chunks(self, request, reader, writer):
        more = ["Transfer-Encoding: chunked", "Trailer: X-Sum"]
        writer.write(answer_head(request, 200, more))
        if request.method == "HEAD":
            return
        data = content(request.id, request.number)
        for piece in in_pieces(data, self.chance):
            writer.write(chunk(piece))
            await writer.drain()
        writer.write(f"0\r\nX-Sum: {hashlib.sha256(data).hexdigest()}\r\n\r\n".encode())

    async def until_close(self, request, reader, writer):
        writer.write(answer_head(request, 200, ["Connection: close"]))
        if request.method != "HEAD":
            writer.write(content(request.id, request.number))
            await writer.drain()
        raise Over

    async def interim(self, request, reader, writer):
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style>\r\n\r\n" * self.chance.randint(1, 3))
        await self.body(request, reader, writer)

    async def status(self, request, reader, writer):
        tag = ["ETag: \"1\""] if request.number == 304 else []
        writer.write(answer_head(request, request.number, tag))

    async def drip(self, request, reader, writer):
        writer.write(answer_head(request, 200, [f"Content-Length: {request.number}"]))
        for piece in in_pieces(content(request.id, request.number), self.chance, 10):
            await asyncio.sleep(self.chance.uniform(0, 0.2))
            writer.write(piece)
            await writer.drain()

    async def early(self, request, reader, writer):
        """Answers before it has read the body, of which it reads the rest, or nothing."""
        closes = self.chance.random() < 0.5
        writer.write(answer_head(request, 200, [f"Content-Length: {request.number}", *["Connection: close"] * closes]))
        writer.write(content(request.id, request.number))
        await writer.drain()
        if closes:
            raise Over
        await self.read_body(request, reader)

    async def events(self, request, reader, writer):
        writer.write(answer_head(request, 200, ["Content-Type: text/event-stream", "Transfer-Encoding: chunked"]))
        for number in range(request.number):
            writer.write(chunk(f"data: {request.id} {number}\n\n".encode()))
            await writer.drain()
            await asyncio.sleep(self.chance.uniform(0.02, 0.2))
        writer.write(b"0\r\n\r\n")

    async def upgrade(self, request, reader, writer):
        """Goes on in a protocol of its own: every byte comes back changed."""
        if request.header("upgrade") != "mask":
            self.note("bad", "no upgrade", request.id)
        writer.write(answer_head(request, 101, ["Connection: upgrade", "Upgrade: mask"]))
        while data := await reader.read(65536):
            writer.write(bytes(byte ^ MASK for byte in data))
            await writer.drain()
        raise Over


ACTS = {"body": Instance.body, "chunks": Instance.chunks, "close": Instance.until_close, "interim": Instance.interim,
        "status": Instance.status, "drip": Instance.drip, "early": Instance.early, "events": Instance.events,
        "upgrade": Instance.upgrade}


def answer_head(request, status, headers):
    lines = [f"HTTP/1.1 {status} As asked", f"X-Answer-Id: {request.id}", f"X-Seen-User: {request.header('x-user-id') or '-'}",
             *headers]
    if request.digest:
        lines.append(f"X-Upload-Sum: {request.digest}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def main():
    address, port, journal = sys.argv[1:]
    instance = Instance(journal)
    server = await asyncio.start_server(instance.serve, address, int(port), backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
