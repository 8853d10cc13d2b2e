"""Clients of HTTP/2, with prior knowledge. The library (PyPI: h2) is fetched into target/bench-python when it is missing."""

import sys

from clients import Client
from peers import REPOSITORY, run_quietly
from wire import Answer

LIBRARY = "h2==4.3.0"
MOST_STREAMS = 12


def has_library():
    folder = REPOSITORY / "target/bench-python"
    sys.path.append(str(folder))
    if not (folder / "h2").exists():
        run_quietly(sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), LIBRARY)
    try:
        import h2.connection  # pylint: disable=unused-import
        return True
    except ImportError:
        return False


class Stream:
    """A request under way."""

    def __init__(self, asked, body):
        self.asked, self.unsent, self.answer = asked, body, None


class Http2(Client):
    """Several requests at once on one connection. Some it takes back."""

    think, protocol = 0.5, "h2"

    async def turn(self):
        import h2.config
        import h2.connection
        await self.open()
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.http.initiate_connection()
        self.streams, left = {}, self.chance.randint(1, 40)
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
        # All were answered; if not, the connection has ended under them.
        for stream in self.streams.values():
            self.lose(stream)
        self.close()

    def begin(self):
        wanted = self.anything()
        if wanted["act"] == "close":
            wanted["act"] = "body"
        body = wanted.pop("body", None)
        asked, lines = self.plan(**wanted, body=None if body is None else body[:300_000])
        fields = [(name.lower(), value) for name, value in (line.split(": ", 1) for line in lines) if name != "Connection"]
        pseudo = [(":method", asked.method), (":scheme", "http"), (":authority", "localhost"), (":path", asked.target)]
        number = self.http.get_next_available_stream_id()
        self.http.send_headers(number, pseudo + fields, end_stream=not asked.body)
        self.streams[number] = Stream(asked, asked.body or b"")

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

    def reset(self, number):
        import h2.exceptions
        try:
            self.http.reset_stream(number, error_code=8)
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
            # It was answered early: the rest is not wanted.
            self.book.uploads[stream.asked.id] = None
            self.reset(number)

    def lose(self, stream):
        if stream.answer:
            self.book.broke_off(stream.asked, stream.answer)
        else:
            self.book.closed_on(stream.asked)
