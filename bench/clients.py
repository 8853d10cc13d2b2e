"""Clients that mean well, each in its own way. All of it follows from `chance` but the order in time."""

import asyncio
import json
import time

from book import Asked, digest
from instance import MASK
from wire import BrokenOff, Closed, Connection, NotHttp, any_size, chunked, content, head

# The time limit of an exchange, whatever the instances do.
PATIENCE = 40
METHODS_WITH_BODY = ["POST", "PUT", "PATCH", "DELETE"]


class Client:
    """Takes its turns until told to stop. `think` is how many seconds lie between two, on average."""

    think, protocol = 0.05, "http/1.1"
    # The target of plain requests: `http2` is the service of HTTP/2.
    routes = ["open"]

    def __init__(self, port, book, chance, name):
        self.port, self.book, self.chance, self.name = port, book, chance, name
        self.kind = type(self).__name__
        self.asked, self.connection = 0, None

    async def run(self, running):
        try:
            while running():
                await self.turn_within_patience()
                await asyncio.sleep(self.chance.expovariate(1 / self.think))
        finally:
            self.close()

    async def turn_within_patience(self):
        try:
            async with asyncio.timeout(PATIENCE * 2):
                await self.turn()
        except TimeoutError:
            self.close()
            self.book.violation(self.kind, "a turn without an end")
        except OSError as error:
            self.close()
            self.book.violation(self.kind, f"no connection to the gateway: {error}")

    async def turn(self):
        raise NotImplementedError

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    async def open(self, receive_bytes=None):
        self.close()
        self.connection = await Connection(self.port, self.protocol).open(receive_bytes)
        return self.connection

    def any_route(self):
        return self.chance.choice(self.routes)

    def next_id(self):
        self.asked += 1
        return f"{self.name}-{self.asked}"

    def plan(self, act, number, method="GET", *, headers=(), version="1.1", route="open", body=None, **expected):
        """A request to the service, and its headers."""
        ask_id = self.next_id()
        if body is not None:
            self.book.uploads[ask_id] = digest(body)
        size = None if act in ("status", "events", "upgrade") else number
        asked = Asked(self.kind, method, f"/api/{route}/{ask_id}/{act}/{number}", version=version, ask_id=ask_id, size=size,
                      body=body, **expected)
        return asked, [f"X-Ask-Id: {ask_id}", "X-User-Id: forged", *headers]

    def request(self, act, number, method="GET", *, framing=None, **more):
        """The same in bytes: of its head and of its body."""
        asked, lines = self.plan(act, number, method, **more)
        if asked.body is None:
            return asked, head(method, asked.target, lines, asked.version), b""
        if (framing or self.chance.choice(["length", "chunks"])) == "length":
            lines.append(f"Content-Length: {len(asked.body)}")
            return asked, head(method, asked.target, lines, asked.version), asked.body
        lines.append("Transfer-Encoding: chunked")
        return asked, head(method, asked.target, lines, asked.version), chunked(asked.body, self.chance)

    async def exchange(self, asked, data, *, may_break=False, on_continue=None):
        """Sends while it reads, and has what comes judged. The answer, if it is whole; the connection is closed if it cannot
        be used again."""
        connection = self.connection
        sending = asyncio.create_task(connection.send(data))
        answer = None
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await connection.read_answer(asked.method, on_continue)
            self.book.answered(asked, answer)
        except BrokenOff as broken:
            self.book.broke_off(asked, broken.answer, allowed=may_break)
        except Closed:
            if may_break:
                self.book.note(asked.kind, "closed")
            else:
                self.book.closed_on(asked)
        except NotHttp as error:
            self.book.violation(asked.kind, f"{asked.method} {asked.target}: {error}")
        except TimeoutError:
            self.book.violation(asked.kind, f"{asked.method} {asked.target}: no answer within {PATIENCE} s")
        is_sent = sending.done() and sending.result()
        sending.cancel()
        # A server that responded before reading the whole body reads no further.
        if answer is None or not is_sent or not answer.keeps_open(asked.version) or (asked.body and answer.status >= 400):
            self.close()
        return answer

    def anything(self):
        """What a plain client asks, as arguments of `request`."""
        return {**self.anything_at_one_place(), "route": self.any_route()}

    def anything_at_one_place(self):
        chance, size = self.chance, any_size(self.chance)
        match chance.choices(["get", "head", "status", "upload"], [50, 8, 8, 34])[0]:
            case "get":
                act = chance.choices(["body", "chunks", "close", "interim", "drip"], [60, 25, 5, 5, 5])[0]
                return {"act": act, "number": size, "headers": ["TE: trailers", "Connection: TE"] if act == "chunks" else []}
            case "head":
                return {"act": chance.choice(["body", "chunks"]), "number": size, "method": "HEAD"}
            case "status":
                status = chance.choice([204, 304])
                return {"act": "status", "number": status, "statuses": [status]}
            case _:
                body = content(f"{self.name}{self.asked}", size)
                return {"act": "body", "number": chance.randrange(20_000), "method": chance.choice(METHODS_WITH_BODY), "body": body}


class KeepAlive(Client):
    async def turn(self):
        if not self.connection or self.chance.random() < 0.02:
            await self.open()
        asked, start, body = self.request(**self.anything())
        await self.exchange(asked, start + body)


class NewConnection(Client):
    """One request, then the end; now and then it says so before."""

    async def turn(self):
        connection = await self.open()
        closes = self.chance.random() < 0.5
        asked, start, body = self.request(**self.anything())
        if closes:
            start = start[:-2] + (b"" if b"Connection" in start else b"Connection: close\r\n") + b"\r\n"
        closes = b"Connection: close" in start
        answer = await self.exchange(asked, start + body)
        if closes and answer and connection.socket.fileno() >= 0:
            self.book.violation(self.kind, f"{asked.target}: the answer does not say that the connection is closed")
        self.close()


class Http10(Client):
    async def turn(self):
        if not self.connection:
            await self.open()
        headers = ["Connection: keep-alive"] if self.chance.random() < 0.5 else []
        body = content(self.name, any_size(self.chance)) if self.chance.random() < 0.3 else None
        act = self.chance.choice(["body", "chunks", "close"])
        method = "GET" if body is None else "POST"
        asked, start, body = self.request(act, any_size(self.chance), method, headers=headers, version="1.0", body=body,
                                          framing="length")
        answer = await self.exchange(asked, start + body)
        if answer and answer.header("transfer-encoding"):
            self.book.violation(self.kind, f"{asked.target}: chunks for HTTP/1.0")


class Pipelined(Client):
    """Several requests at once, some with a body; the answers come in their order."""

    think = 0.2

    async def turn(self):
        connection = await self.open()
        requests = []
        for _ in range(self.chance.randint(2, 8)):
            act, size = self.chance.choice(["body", "chunks"]), any_size(self.chance) % 50_000
            method = self.chance.choices(["GET", "HEAD", "POST"], [4, 4, 2])[0]
            body = content(f"{self.name}{self.asked}", size) if method == "POST" else None
            requests.append(self.request(act, size, method, body=body))
        data = b"".join(start + body for _, start, body in requests)
        sending = asyncio.create_task(connection.send_slowly(data, self.chance.choice([len(data), 500, 5000]), 0.001))
        for asked, _, _ in requests:
            answer = await self.exchange(asked, b"")
            if not answer or not self.connection:
                break
        sending.cancel()
        self.close()


class Expecting(Client):
    """Sends its body when it is asked for."""

    async def turn(self):
        if not self.connection:
            await self.open()
        body = content(f"{self.name}{self.asked}", 1 + any_size(self.chance))
        asked, start, data = self.request("body", self.chance.randrange(3000), "POST", headers=["Expect: 100-continue"], body=body)
        connection, wanted = self.connection, asyncio.Event()

        async def send_when_wanted():
            await wanted.wait()
            await connection.send(data)

        await connection.send(start)
        sending = asyncio.create_task(send_when_wanted())
        answer = await self.exchange(asked, b"", on_continue=wanted)
        if answer and answer.status == 200 and not wanted.is_set():
            self.book.violation(self.kind, f"{asked.target}: the body was not asked for")
        self.book.note(self.kind, "asked for the body" if wanted.is_set() else "refused before the body")
        if not sending.done():
            sending.cancel()
            self.close()


class Upgrading(Client):
    """Goes on in another protocol, in which every byte comes back changed. Some instances stay with HTTP."""

    think = 0.3

    async def turn(self):
        connection = await self.open()
        headers = ["Connection: Upgrade", "Upgrade: mask"]
        if self.chance.random() < 0.3:
            asked, start, _ = self.request("body", self.chance.randrange(3000), headers=headers)
            await self.exchange(asked, start)
            if self.connection:
                asked, start, _ = self.request("body", 10)
                await self.exchange(asked, start)
            return
        asked, start, _ = self.request("upgrade", 0, headers=headers, statuses=[101])
        pieces = [content(f"{asked.id}{n}", any_size(self.chance) % 100_000) for n in range(self.chance.randint(1, 5))]
        # The first may come right behind the request.
        hasty = self.chance.random() < 0.5
        answer = await self.exchange(asked, start + (pieces[0] if hasty else b""))
        if not answer or answer.status != 101 or not self.connection:
            return
        if answer.header("upgrade") != "mask" or (answer.header("connection") or "").lower() != "upgrade":
            self.book.violation(self.kind, f"{asked.target}: no upgrade: {answer.headers}")
        for number, piece in enumerate(pieces):
            if not (hasty and number == 0):
                await connection.send(piece)
            if not await self.comes_back(connection, piece, asked):
                return
        self.book.note(self.kind, "whole dialogues")

    async def comes_back(self, connection, piece, asked):
        changed = bytes(byte ^ MASK for byte in piece)
        try:
            came = await connection.take(len(piece))
        except EOFError:
            came = bytes(connection.buffer)
            self.book.note(self.kind, "broken off")
            if self.book.weather.was_calm_since(asked.began):
                self.book.violation(self.kind, f"{asked.target}: the tunnel ended in calm weather")
        if came != changed[:len(came)]:
            self.book.violation(self.kind, f"{asked.target}: other bytes came back")
        return len(came) == len(piece)


class Listening(Client):
    """Follows an event stream to its end, or for a while."""

    think = 0.2

    async def turn(self):
        connection = await self.open()
        count = self.chance.randrange(30)
        asked, start, _ = self.request("events", count)
        leaves = self.chance.random() < 0.3
        if leaves:
            await connection.send(start)
            await asyncio.sleep(self.chance.uniform(0, 2))
            self.book.note(self.kind, "left")
        elif (answer := await self.exchange(asked, start)) and answer.status == 200:
            if answer.body != b"".join(f"data: {asked.id} {n}\n\n".encode() for n in range(count)):
                self.book.violation(self.kind, f"{asked.target}: other events")
        self.close()


class OwnPaths(Client):
    """What the gateway answers by itself, whatever happens to the service."""

    async def turn(self):
        if not self.connection:
            await self.open()
        path = self.chance.choice(["/livez", "/.well-known/jwks.json", "/openapi.json", "/api/nowhere/x", "/nowhere"])
        statuses = [404] if "nowhere" in path else [200]
        await self.exchange(Asked(self.kind, "GET", path, refusals=statuses), head("GET", path))


class Tokens(Client):
    """Has a token made, uses it, revokes it, and is refused from then on."""

    async def turn(self):
        if not self.connection:
            await self.open()
        subject = f"{self.name}-{self.asked}"
        made = await self.call("/tokens/create", {"subject": subject}, [200])
        if not made:
            return
        token = json.loads(made.body)["access_token"]
        for _ in range(self.chance.randrange(8)):
            if not await self.use(token, subject):
                return
        listening = await self.listen(token, subject) if self.chance.random() < 0.2 else None
        if not self.connection:
            await self.open()
        if await self.call("/tokens/revoke", {"token": token}, [200]) and self.connection:
            await self.use(token, subject, refusals=[401])
        if listening:
            await self.ends_soon(*listening)

    async def use(self, token, subject, *, refusals=()):
        headers = [f"Authorization: Bearer {token}"]
        statuses = [] if refusals else [200]
        asked, start, body = self.request("body", any_size(self.chance) % 20_000, headers=headers, route="token", user=subject,
                                          statuses=statuses, refusals=refusals)
        return await self.exchange(asked, start + body) if self.connection or await self.open() else None

    async def call(self, path, request, statuses):
        if not self.connection:
            await self.open()
        body = json.dumps(request).encode()
        start = head("POST", path, ["Content-Type: application/json", f"Content-Length: {len(body)}"])
        asked = Asked(self.kind, "POST", path, refusals=statuses)
        answer = await self.exchange(asked, start + body)
        return answer if answer and answer.status == 200 else None

    async def listen(self, token, subject):
        """An event stream that does not end by itself."""
        connection = await Connection(self.port).open()
        asked, start, _ = self.request("events", 10_000, headers=[f"Authorization: Bearer {token}"], route="token", user=subject)
        await connection.send(start)
        await asyncio.sleep(0.5)
        return asked, connection

    async def ends_soon(self, asked, connection):
        revoked = time.monotonic()
        try:
            async with asyncio.timeout(10):
                await connection.read_answer()
        except BrokenOff:
            self.book.note(self.kind, "stream ended with its token")
        except (Closed, NotHttp, TimeoutError) as error:
            if self.book.weather.was_calm_since(asked.began):
                self.book.violation(self.kind, f"{asked.target}: the stream did not end with its token: {error!r}")
        if time.monotonic() - revoked > 3 and self.book.weather.was_calm_since(asked.began):
            self.book.violation(self.kind, f"{asked.target}: the stream ended {time.monotonic() - revoked:.1f} s after its token")
        connection.close()
