"""Somebody who calls gRPC services with grpcio, over one connection.

grpc_caller.py ADDRESS PREFIX
Does what each line of its input says, and answers with a line, both JSON. One call is open at a time; `next` gives its
next message or how it ended.
"""

import json
import os
import queue
import sys

import grpc

PATIENCE = 30
LARGEST = 16 * 1024 * 1024

address, prefix = sys.argv[1:]
channel = grpc.insecure_channel(
    address,
    options=[("grpc.max_receive_message_length", LARGEST), ("grpc.max_send_message_length", LARGEST)],
)
texts = dict(request_serializer=str.encode, response_deserializer=bytes.decode)


def options(command):
    """Without a deadline the call has none on the wire either."""
    return dict(metadata=list(command.get("metadata", {}).items()), timeout=command.get("timeout"))


def readable(metadata):
    """Binary values in hexadecimal."""
    return {key: value if isinstance(value, str) else value.hex() for key, value in metadata or ()}


def ending(call):
    """How a call has ended; waits for that."""
    return {"code": call.code().name, "details": call.details(), "trailing": readable(call.trailing_metadata())}


class Caller:
    def call(self, command):
        """One message there, one back."""
        method = channel.unary_unary(prefix + command["method"], **texts)
        call = method.future(command.get("message", ""), **options(command))
        try:
            answer = call.result(PATIENCE)
        except grpc.RpcError:
            answer = None
        return {"answer": answer, "initial": readable(call.initial_metadata()), **ending(call)}

    def open(self, command):
        """A call with a stream on one side or both, or one that is not waited for."""
        kind = command["kind"]
        method = getattr(channel, kind)(prefix + command["method"], **texts)
        self.outgoing = queue.SimpleQueue()
        request = iter(self.outgoing.get, None) if kind.startswith("stream") else command.get("message", "")
        self.open_call = getattr(method, "future", method)(request, **options(command))
        return {"opened": kind}

    def send(self, command):
        self.outgoing.put(command["message"])
        return {"sent": command["message"]}

    def end(self, _):
        """Nothing more is sent."""
        self.outgoing.put(None)
        return {"sent": None}

    def next(self, _):
        try:
            return {"message": next(self.open_call)}
        except (StopIteration, grpc.RpcError):
            return ending(self.open_call)

    def result(self, _):
        try:
            return {"answer": self.open_call.result(PATIENCE)}
        except (grpc.RpcError, grpc.FutureCancelledError):
            return ending(self.open_call)

    def cancel(self, _):
        self.open_call.cancel()
        return ending(self.open_call)

    def together(self, command):
        """Many calls at once; their answers."""
        method = channel.unary_unary(prefix + command["method"], **texts)
        calls = [method.future(str(number), **options(command)) for number in range(command["calls"])]
        return {"answers": [call.result(PATIENCE) for call in calls]}

    def mirror(self, command):
        """A message of so many bytes that nothing makes smaller."""
        message = os.urandom(command["bytes"])
        method = channel.unary_unary(prefix + command["method"])
        compression = grpc.Compression.Gzip if command["gzip"] else grpc.Compression.NoCompression
        try:
            answer = method(message, compression=compression, **options(command))
        except grpc.RpcError as error:
            return ending(error)
        return {"bytes": len(answer), "the_same": answer == message}


caller = Caller()
for line in sys.stdin:
    command = json.loads(line)
    print(json.dumps(getattr(caller, command["do"])(command)), flush=True)
