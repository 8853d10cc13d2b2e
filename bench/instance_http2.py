#!/usr/bin/env python3
"""One instance of the service of HTTP/2 behind the gateway of `bench/faults`.

    instance_http2.py ADDRESS PORT JOURNAL

It answers and keeps a journal as `instance.py` does, with prior knowledge of HTTP/2. `/mode/NAME` is asked of it over HTTP/1.1."""

import asyncio
import hashlib
import sys

from instance import SHARE, SLOWEST, Instance, Over, Request
from library import add_to_path
from wire import content, in_pieces

add_to_path()
import h2.config  # pylint: disable=wrong-import-position
import h2.connection  # pylint: disable=wrong-import-position
import h2.events  # pylint: disable=wrong-import-position
import h2.exceptions  # pylint: disable=wrong-import-position

# The codes of RST_STREAM that it resets with. Some take NO_ERROR for a good end, so it is one of them.
CODES = [0, 0, 1, 2, 5, 7, 8]
MOST_STREAMS = 64


class Stream(Request):
    """A request on a stream of HTTP/2."""

    def __init__(self, number, fields):
        pseudo = dict(field for field in fields if field[0].startswith(":"))
        lines = [f"{pseudo[':method']} {pseudo[':path']} HTTP/2".encode()]
        super().__init__(lines + [f"{name}: {value}".encode() for name, value in fields if not name.startswith(":")])
        self.number_of_stream, self.sum, self.is_answered, self.pseudo = number, hashlib.sha256(), False, pseudo

    def faults(self):
        if not self.pseudo.get(":authority") or "host" in self.headers:
            yield "the authority"
        if any(name in self.headers for name in ("connection", "transfer-encoding", "upgrade", "keep-alive")):
            yield "a header of a connection"
        yield from (fault for fault in super().faults() if fault != "the version or Host")


class Connection:
    """One connection, with as many streams as the gateway likes to have on it."""

    def __init__(self, instance, reader, writer):
        self.instance, self.reader, self.writer, self.chance = instance, reader, writer, instance.chance
        config = h2.config.H2Configuration(client_side=False, header_encoding="latin-1", validate_outbound_headers=False,
                                           normalize_outbound_headers=False)
        self.http = h2.connection.H2Connection(config)
        self.streams, self.answering, self.room = {}, set(), asyncio.Condition()
        self.has_left, self.newest = False, 0

    async def serve(self, first):
        self.http.initiate_connection()
        self.http.update_settings({3: MOST_STREAMS})
        data = first
        try:
            while data:
                for event in self.http.receive_data(data):
                    await self.take(event)
                await self.flush()
                data = await self.reader.read(65536)
        except h2.exceptions.ProtocolError as error:
            if not self.has_left:
                self.instance.note("bad", repr(error).replace("\n", " "))
        finally:
            for task in self.answering:
                task.cancel()

    async def flush(self):
        self.writer.write(self.http.data_to_send())
        await self.writer.drain()

    async def take(self, event):
        number = getattr(event, "stream_id", None)
        stream = self.streams.get(number)
        if isinstance(event, h2.events.RequestReceived):
            stream = self.streams[number] = Stream(number, event.headers)
            self.newest = number
            self.instance.note("head", stream.id, stream.method)
            for fault in stream.faults():
                self.instance.note("bad", fault, stream.id, stream.line)
            if stream.act == "early":
                self.begin_answer(stream)
        elif isinstance(event, h2.events.DataReceived):
            self.http.acknowledge_received_data(event.flow_controlled_length, number)
            if stream:
                stream.sum.update(event.data)
        elif isinstance(event, h2.events.StreamEnded) and stream:
            if stream.method in ("POST", "PUT", "PATCH", "DELETE"):
                stream.digest = stream.sum.hexdigest()
                self.instance.note("whole", stream.id, stream.digest)
            self.begin_answer(stream)
        elif isinstance(event, h2.events.StreamReset):
            self.streams.pop(number, None)
        if isinstance(event, (h2.events.StreamReset, h2.events.WindowUpdated, h2.events.RemoteSettingsChanged)):
            async with self.room:
                self.room.notify_all()

    def begin_answer(self, stream):
        if not stream.is_answered:
            stream.is_answered = True
            task = asyncio.create_task(self.answer(stream))
            self.answering.add(task)
            task.add_done_callback(self.answering.discard)

    async def answer(self, stream):
        mode = self.instance.mode if self.chance.random() < SHARE else "good"
        try:
            if mode == "slow":
                await asyncio.sleep(self.chance.choice([0.1, 0.5, 1, SLOWEST]))
            if mode in ("good", "slow") or not await getattr(self, mode.replace("-", "_"))(stream):
                await self.answer_well(stream)
        except (h2.exceptions.ProtocolError, OSError, Over):
            # The stream or the connection has ended meanwhile.
            pass
        finally:
            self.streams.pop(stream.number_of_stream, None)

    async def head(self, stream, status, more=(), *, end=False):
        fields = [(":status", str(status)), ("x-answer-id", stream.id), ("x-seen-user", stream.header("x-user-id") or "-"), *more]
        if stream.digest:
            fields.append(("x-upload-sum", stream.digest))
        self.http.send_headers(stream.number_of_stream, fields, end_stream=end)
        await self.flush()

    async def data(self, stream, data, *, end=False):
        number = stream.number_of_stream
        while data:
            async with self.room:
                while not (room := min(self.http.local_flow_control_window(number), self.http.max_outbound_frame_size)):
                    await self.room.wait()
            part, data = data[:room], data[room:]
            self.http.send_data(number, part, end_stream=end and not data)
            await self.flush()

    async def reset_with(self, stream, code):
        self.http.reset_stream(stream.number_of_stream, error_code=code)
        await self.flush()

    async def answer_well(self, stream):
        if stream.act == "status":
            return await self.head(stream, stream.number, end=True)
        if stream.act == "interim":
            self.http.send_headers(stream.number_of_stream, [(":status", "103"), ("link", "</style>")])
        has_length = stream.act not in ("chunks", "close")
        length = [("content-length", str(stream.number))] if has_length else []
        if stream.method == "HEAD" or stream.number == 0:
            return await self.head(stream, 200, length, end=True)
        await self.head(stream, 200, length)
        whole = content(stream.id, stream.number)
        pieces = in_pieces(whole, self.chance, 5)
        for place, piece in enumerate(pieces):
            if stream.act == "drip":
                await asyncio.sleep(self.chance.uniform(0, 0.2))
            await self.data(stream, piece, end=stream.act != "chunks" and place == len(pieces) - 1)
        if stream.act == "chunks":
            trailers = [("x-sum", hashlib.sha256(whole).hexdigest())]
            self.http.send_headers(stream.number_of_stream, trailers, end_stream=True)
            await self.flush()
        if stream.act == "early" and stream.digest is None:
            # RFC 9113 §8.1: the response is complete, and the rest of the request is not wanted.
            await self.reset_with(stream, 0)

    async def hang_up(self, stream):
        self.writer.close()
        raise Over

    async def reset(self, stream):
        """Ends the stream before the head, behind it, or within the body."""
        if stream.act != "status" and self.chance.random() < 0.7:
            has_length = self.chance.random() < 0.5
            await self.head(stream, 200, [("content-length", str(stream.number + 1))] if has_length else [])
            await self.data(stream, content(stream.id, stream.number)[:self.chance.randrange(stream.number + 1)])
            await asyncio.sleep(self.chance.choice([0, 0, 0.01, 0.1]))
        await self.reset_with(stream, self.chance.choice(CODES))
        return True

    async def lie(self, stream):
        """Says another length than that of the body, or one that is no number."""
        number = stream.number
        # In one frame: no part of it may match the declared length.
        if stream.act == "status" or stream.method == "HEAD" or not 1 < number < 16_000:
            return False
        said = self.chance.choice([str(number + 1), str(number - 1), f"0{number}", f"+{number}", f"{number}, {number}", ""])
        await self.head(stream, 200, [("content-length", said)])
        await self.data(stream, content(stream.id, number), end=True)
        return True

    async def stall(self, stream):
        """Says nothing, or nothing more."""
        if stream.act != "status" and self.chance.random() < 0.5:
            await self.head(stream, 200)
            await self.data(stream, content(stream.id, stream.number)[:stream.number // 2])
        await asyncio.sleep(self.chance.choice([0.5, SLOWEST]))
        await self.reset_with(stream, 2)
        return True

    async def goaway(self, stream):
        """Answers this one, and takes no more on this connection."""
        self.has_left = True
        # Those up to it may have been acted on, whether they are still under way or not.
        self.http.close_connection(last_stream_id=self.newest)
        await self.flush()
        raise Over

    async def garbage(self, stream):
        self.writer.write(self.chance.randbytes(64))
        await self.writer.drain()
        raise Over


class Http2Instance(Instance):
    async def serve(self, reader, writer):
        try:
            first = await reader.readexactly(4)
            if first == b"PRI ":
                await Connection(self, reader, writer).serve(first)
            else:
                request = Request((first + await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n"))
                self.mode = request.id
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        except (Over, OSError, asyncio.IncompleteReadError):
            pass
        except Exception as error:  # pylint: disable=broad-except
            self.note("bad", repr(error).replace("\n", " "))
        finally:
            writer.close()


async def main():
    address, port, journal = sys.argv[1:]
    instance = Http2Instance(journal)
    server = await asyncio.start_server(instance.serve, address, int(port), backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
