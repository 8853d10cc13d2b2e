"""Clients of HTTP/2, with prior knowledge: those that mean well, and those that reset, lie about lengths, and stall."""

import asyncio
import time

from clients import METHODS_WITH_BODY, Client
from rude import IDLE_TIMEOUT, LATE
from wire import Answer, any_size, content

MOST_STREAMS = 12
# The codes of RST_STREAM. NO_ERROR is also used by clients that abandon an upload.
CODES = [0, 0, 1, 2, 7, 8]


class Stream:
    """A request under way."""

    def __init__(self, asked, body):
        self.asked, self.unsent, self.answer = asked, body, None


class Http2(Client):
    """Several requests at once on one connection. Some it takes back."""

    think, protocol = 0.5, "h2"

    async def begin_connection(self):
        import h2.config
        import h2.connection
        await self.open()
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False))
        self.http.initiate_connection()
        self.streams = {}

    async def turn(self):
        await self.begin_connection()
        left = self.chance.randint(1, 40)
        while left or self.streams:
            while left and len(self.streams) < MOST_STREAMS:
                left -= 1
                self.begin()
            self.send_bodies()
            if self.streams and self.chance.random() < 0.01:
                self.take_back(self.chance.choice(list(self.streams)))
            await self.connection.send(self.http.data_to_send())
            if self.streams and not await self.hear():
                break
        # All got responses; if not, the connection has ended.
        for stream in self.streams.values():
            self.lose(stream)
        self.close()

    def begin(self):
        wanted = self.anything()
        if wanted["act"] == "close":
            wanted["act"] = "body"
        body = wanted.pop("body", None)
        self.send_head(*self.plan(**wanted, body=None if body is None else body[:300_000]))

    def send_head(self, asked, lines):
        """The number of its stream."""
        fields = [(name.lower(), value) for name, value in (line.split(": ", 1) for line in lines) if name != "Connection"]
        pseudo = [(":method", asked.method), (":scheme", "http"), (":authority", "localhost"), (":path", asked.target)]
        number = self.http.get_next_available_stream_id()
        self.http.send_headers(number, pseudo + fields, end_stream=not asked.body)
        self.streams[number] = Stream(asked, asked.body or b"")
        return number

    def send_bodies(self):
        """As much as there is room for."""
        for number, stream in self.streams.items():
            while stream.unsent and (room := min(self.http.local_flow_control_window(number), self.http.max_outbound_frame_size)):
                part, stream.unsent = stream.unsent[:room], stream.unsent[room:]
                self.http.send_data(number, part, end_stream=not stream.unsent)

    def take_back(self, number):
        stream = self.streams.pop(number)
        if stream.unsent:
            self.book.uploads[stream.asked.id] = None
        self.reset(number)
        self.book.note(self.kind, "taken back")

    def reset(self, number, code=8):
        import h2.exceptions
        try:
            self.http.reset_stream(number, error_code=code)
        except h2.exceptions.StreamClosedError:
            # The other side was faster, and the library knows already.
            pass

    async def hear(self):
        """Reads once; false at the end."""
        if not await self.connection.more():
            return False
        import h2.exceptions
        data = bytes(self.connection.buffer)
        self.connection.buffer.clear()
        try:
            events = self.http.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            asked = [f"{stream.asked.method} {stream.asked.target}" for stream in self.streams.values()]
            self.book.violation(self.kind, f"{error!r}, with these under way: {', '.join(asked)}")
            self.streams.clear()
            return False
        for event in events:
            self.heard(type(event).__name__, event)
        return not self.http.state_machine.state.name == "CLOSED"

    def heard(self, name, event):
        if name == "DataReceived":
            self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        stream = self.streams.get(getattr(event, "stream_id", None))
        if not stream:
            return
        if name == "ResponseReceived":
            fields = list(event.headers)
            stream.answer = Answer(int(fields[0][1]), "HTTP/2", fields[1:])
        elif name == "DataReceived":
            stream.answer.body += event.data
        elif name == "TrailersReceived":
            stream.answer.trailers = list(event.headers)
        elif name == "StreamEnded":
            self.end(event.stream_id)
        elif name == "StreamReset":
            self.lose(self.streams.pop(event.stream_id))

    def end(self, number):
        stream = self.streams.pop(number)
        self.book.answered(stream.asked, stream.answer)
        if stream.unsent:
            # The response came early: the rest is not wanted.
            self.book.uploads[stream.asked.id] = None
            self.reset(number)

    def lose(self, stream):
        if stream.answer:
            self.book.broke_off(stream.asked, stream.answer)
        else:
            self.book.closed_on(stream.asked)


class RudeHttp2(Http2):
    """One upload or download that goes wrong on purpose. Nothing of it may arrive as a whole message, and what does not go on ends
    in time."""

    think = 0.3

    async def turn(self):
        how = self.chance.choice(["reset", "lie", "stalled upload", "unread answer"])
        self.kind = f"RudeHttp2 ({how})"
        await self.begin_connection()
        await {"reset": self.give_up, "lie": self.lie, "stalled upload": self.stop_sending, "unread answer": self.stop_reading}[how]()
        self.close()

    def upload(self, act, lines=(), **expected):
        """Begins an upload of which nothing may arrive as a whole; its stream."""
        body = content(f"{self.name}{self.asked}", 2 + any_size(self.chance) % 60_000)
        asked, plain = self.plan(act, 100, self.chance.choice(METHODS_WITH_BODY), body=body, route=self.any_route(), **expected)
        self.book.uploads[asked.id] = None
        number = self.send_head(asked, [*plain, *lines])
        return self.streams[number], number

    async def give_up(self):
        """Sends a part of a body, and resets the stream, with whatever code."""
        stream, number = self.upload(self.chance.choice(["body", "body", "early"]))
        self.send_part(number, stream.unsent[:self.chance.randrange(len(stream.unsent))])
        if self.chance.random() < 0.7:
            await self.connection.send(self.http.data_to_send())
            await asyncio.sleep(self.chance.choice([0, 0.01, 0.2]))
        self.reset(number, self.chance.choice(CODES))
        del self.streams[number]
        await self.connection.send(self.http.data_to_send())
        self.book.note(self.kind, "given up")
        if self.chance.random() < 0.5:
            # The connection is good for another request.
            self.begin()
            await self.until_answered()

    async def lie(self):
        """Says a length that is none, or not that of its body: that is refused with 400, or the stream is reset."""
        body = 1 + any_size(self.chance) % 20_000
        said = self.chance.choice([f"0{body}", f"+{body}", f"{body}, {body}", "00", "", "0", str(body + 1), str(body - 1), "1e3"])
        stream, number = self.upload("body", [f"content-length: {said}"], statuses=[], refusals=[400])
        stream.unsent = b""
        self.send_part(number, content(stream.asked.id, body), end_stream=True)
        await self.connection.send(self.http.data_to_send())
        await self.until_answered(may_be_reset=True)

    def send_part(self, number, data, end_stream=False):
        """At most what there is room for on a new stream."""
        for at in range(0, len(data), 16_000):
            self.http.send_data(number, data[at:at + 16_000], end_stream=end_stream and at + 16_000 >= len(data))

    async def stop_sending(self):
        stream, number = self.upload("body")
        self.http.send_data(number, stream.unsent[:1])
        await self.connection.send(self.http.data_to_send())
        del self.streams[number]
        await self.closed_in_time()

    async def stop_reading(self):
        """Leaves the window of the stream at 0."""
        asked, lines = self.plan("body", 1_000_000 + any_size(self.chance), route=self.any_route())
        number = self.send_head(asked, lines)
        stream = self.streams[number]
        await self.connection.send(self.http.data_to_send())
        # A stopped instance may delay the response; that time is not the client's.
        while not stream.answer and self.streams:
            if not await self.hear():
                return
        self.streams.clear()
        await self.closed_in_time()

    async def closed_in_time(self):
        began = time.monotonic()
        await self.connection.until_closed()
        took = time.monotonic() - began
        self.book.note(self.kind, "closed")
        # First the stream ends, then a connection that does nothing.
        if took > 2 * IDLE_TIMEOUT + LATE:
            self.book.violation(self.kind, f"closed after {took:.1f} s; the limit is {2 * IDLE_TIMEOUT} s")

    async def until_answered(self, may_be_reset=False):
        self.may_be_reset = may_be_reset
        while self.streams:
            self.send_bodies()
            await self.connection.send(self.http.data_to_send())
            if not await self.hear():
                break
        for stream in self.streams.values():
            self.lose(stream)

    may_be_reset = False

    def lose(self, stream):
        if self.may_be_reset and not stream.answer:
            self.book.note(self.kind, "reset")
        else:
            super().lose(stream)
