"""HTTP/1.1 by hand, over plain sockets: so that it can also be done slowly, by halves and wrong. What comes back is read
strictly, and an answer that breaks off is kept as far as it came."""

import asyncio
import math
import random
import re
import socket
import struct
import time

READ_BYTES = 64 * 1024
MOST_HEAD_BYTES = 64 * 1024
STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-5]\d\d( [\x20-\x7e]*)?")
HEADER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
CHUNK_LINE = re.compile(rb"([0-9a-fA-F]{1,15})(;[^\x00-\x08\x0a-\x1f\x7f]*)?")


class Closed(Exception):
    """The other side closed before an answer began."""


class BrokenOff(Exception):
    """The other side closed in the middle of an answer, of whose body `answer` holds what came."""

    def __init__(self, answer):
        super().__init__("an answer broke off")
        self.answer = answer


class NotHttp(Exception):
    """What came is no HTTP."""


class Answer:
    def __init__(self, status, version, headers):
        self.status, self.version, self.headers = status, version, headers
        self.body, self.trailers, self.interim = bytearray(), [], []
        # Its end is that of the connection: a truncated response looks complete.
        self.until_close = False

    def header(self, name):
        return next((value for known, value in self.headers if known == name), None)

    def all(self, name):
        return [value for known, value in self.headers if known == name]

    def keeps_open(self, version):
        """Whether there may be another request behind one of this version."""
        if self.until_close:
            return False
        said = (self.header("connection") or "").lower()
        return "keep-alive" in said if "1.0" in (version, self.version[-3:]) else "close" not in said


class Connection:
    """A client's. `pause` and `read_bytes` slow its reading down. `layer` makes what is put between it and the socket, if anything
    is, for a protocol of ALPN."""

    layer = None

    def __init__(self, port, protocol="http/1.1"):
        self.port, self.buffer, self.ended = port, bytearray(), False
        self.tls = Connection.layer(protocol) if Connection.layer else None
        self.pause, self.read_bytes = 0, READ_BYTES
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.loop = asyncio.get_running_loop()

    async def open(self, receive_bytes=None):
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        await self.loop.sock_connect(self.socket, ("127.0.0.1", self.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            await self.tls.begin(lambda data: self.loop.sock_sendall(self.socket, data),
                                 lambda: self.loop.sock_recv(self.socket, self.read_bytes))
        return self

    def close(self):
        if self.socket.fileno() >= 0:
            # The event loop must not wait for, or give up, the next socket with this number.
            self.loop.remove_reader(self.socket)
            self.loop.remove_writer(self.socket)
        self.socket.close()

    def reset(self):
        """Closes with a reset instead of an end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def end(self):
        """Sends no more, but goes on reading."""
        try:
            if self.tls:
                self.socket.send(self.tls.farewell())
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    async def send(self, data):
        """Whether all of it was taken."""
        try:
            await self.loop.sock_sendall(self.socket, self.tls.sealed(data) if self.tls else data)
            return True
        except OSError:
            return False

    async def send_slowly(self, data, piece_bytes, pause, within=math.inf):
        """In pieces; what is left after so many seconds goes at once."""
        latest = time.monotonic() + within
        for at in range(0, len(data), piece_bytes):
            if time.monotonic() > latest:
                return await self.send(data[at:])
            if not await self.send(data[at:at + piece_bytes]):
                return False
            await asyncio.sleep(pause)
        return True

    async def more(self):
        """Reads once; false at the end, whether the other side has closed or reset."""
        if self.ended:
            return False
        if self.pause:
            await asyncio.sleep(self.pause)
        try:
            data = await self.received()
        except OSError:
            data = b""
        self.ended = not data
        self.buffer += data
        return bool(data)

    async def received(self):
        if not self.tls:
            return await self.loop.sock_recv(self.socket, self.read_bytes)
        data = self.tls.opened(None)
        while data is None:
            data = self.tls.opened(await self.loop.sock_recv(self.socket, self.read_bytes))
        return data

    async def until_closed(self):
        """What still comes until the other side closes."""
        while await self.more():
            pass
        return bytes(self.buffer)

    async def take(self, count):
        while len(self.buffer) < count:
            if not await self.more():
                raise EOFError
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    async def take_line(self):
        scanned = 0
        while (at := self.buffer.find(b"\n", scanned)) < 0:
            scanned = len(self.buffer)
            if scanned > MOST_HEAD_BYTES:
                raise NotHttp("a line without an end")
            if not await self.more():
                raise EOFError
        line = await self.take(at + 1)
        if not line.endswith(b"\r\n"):
            raise NotHttp(f"a line that does not end with CR LF: {line[:80]!r}")
        return line[:-2]

    async def read_head(self):
        try:
            line = await self.take_line()
        except EOFError:
            if self.buffer:
                raise BrokenOff(Answer(0, "", [])) from None
            raise Closed from None
        if not STATUS_LINE.fullmatch(line):
            raise NotHttp(f"no status line: {line[:80]!r}")
        version, status = line.split(b" ")[:2]
        answer = Answer(int(status), version.decode(), [])
        try:
            answer.headers = await self.read_fields()
        except EOFError:
            raise BrokenOff(answer) from None
        return answer

    async def read_fields(self):
        fields = []
        while line := await self.take_line():
            field = HEADER_LINE.fullmatch(line)
            if not field:
                raise NotHttp(f"no header line: {line[:80]!r}")
            fields.append((field[1].decode().lower(), field[2].decode("latin-1")))
        return fields

    async def read_answer(self, method="GET", on_continue=None):
        """The answer to a request of this method, behind all interim ones."""
        interim = []
        while (answer := await self.read_head()).status < 200 and answer.status != 101:
            interim.append(answer.status)
            if answer.status == 100 and on_continue:
                on_continue.set()
        answer.interim = interim
        try:
            await self.read_body(method, answer)
        except EOFError:
            raise BrokenOff(answer) from None
        return answer

    async def read_body(self, method, answer):
        lengths, codings = answer.all("content-length"), answer.all("transfer-encoding")
        if len(lengths) > 1 or (lengths and codings) or (lengths and not lengths[0].isdigit()):
            raise NotHttp(f"the framing is in doubt: {lengths} {codings}")
        if method == "HEAD" or answer.status in (101, 204, 304):
            return
        if codings:
            if codings != ["chunked"]:
                raise NotHttp(f"the coding {codings}")
            await self.read_chunks(answer)
        elif lengths:
            await self.read_exactly(int(lengths[0]), answer)
        else:
            answer.until_close = True
            while await self.more():
                pass
            answer.body += self.buffer
            self.buffer.clear()

    async def read_exactly(self, count, answer):
        while count:
            if not self.buffer and not await self.more():
                raise EOFError
            part = self.buffer[:count]
            answer.body += part
            del self.buffer[:count]
            count -= len(part)

    async def read_chunks(self, answer):
        while True:
            line = await self.take_line()
            if not (size := CHUNK_LINE.fullmatch(line)):
                raise NotHttp(f"no chunk size: {line[:80]!r}")
            size = int(size[1], 16)
            if size == 0:
                answer.trailers = await self.read_fields()
                return
            await self.read_exactly(size, answer)
            if await self.take_line():
                raise NotHttp("a chunk that is longer than it says")


def head(method, target, headers=(), version="1.1"):
    lines = [f"{method} {target} HTTP/{version}", "Host: localhost", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def content(seed, size):
    """The one body of this size that belongs to this seed."""
    return random.Random(seed).randbytes(size)


def in_pieces(data, chance, most=20):
    """The same bytes, cut at random places."""
    cuts = sorted({chance.randrange(len(data)) for _ in range(chance.randrange(most))} - {0}) if data else []
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)]) if start < end]


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunked(data, chance):
    return b"".join(map(chunk, in_pieces(data, chance))) + b"0\r\n\r\n"


def any_size(chance):
    """From nothing to several MiB; the small ones are the most."""
    most = chance.choices([0, 200, 16 * 1024, 256 * 1024, 4 * 1024 * 1024], [10, 35, 35, 17, 3])[0]
    return chance.randint(0, most)
