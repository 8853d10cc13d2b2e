"""A gRPC service with grpcio. There is no generated code: messages are texts.

Prints its port, then a line of JSON for whatever a test has to know of its calls, and ends with its input.
"""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

PATIENCE = 30
LARGEST = 16 * 1024 * 1024

printing = threading.Lock()
released = threading.Event()


def say(what):
    with printing:
        print(json.dumps(what), flush=True)


def hello(name, context):
    told = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-greeter", "initial"), ("x-greeter-bin", bytes(range(256)))))
    context.set_trailing_metadata((("x-greeted", name), ("x-greeted-bin", bytes(range(256)))))
    return json.dumps({name: told.get("x-user-id"), "authorization": told.get("authorization"), "own": told.get("x-own")})


def refuse(_, context):
    context.set_trailing_metadata((("grpc-status-details-bin", bytes(range(256))),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "100% 안 돼요: no\n")


def refuse_later(_, context):
    yield "one"
    yield "two"
    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no third")


def feed(_, context):
    """The second and third come only after somebody who has seen the first has called Release."""
    yield "first"
    if not released.wait(PATIENCE):
        context.abort(grpc.StatusCode.ABORTED, "nobody has seen the first")
    yield "second"
    yield "third"


def release(_, context):
    released.set()
    return ""


def collect(messages, context):
    heard = []
    for message in messages:
        heard.append(message)
        say({"heard": message})
    return " ".join(heard)


def chat(messages, context):
    for message in messages:
        yield f"you said {message}"


def wait(_, context):
    ended = threading.Event()
    context.add_callback(ended.set)
    say({"begun": context.time_remaining()})
    say({"ended": ended.wait(PATIENCE)})
    return "too late"


def flood(_, context):
    """As much as is taken."""
    ended = threading.Event()
    context.add_callback(lambda: (ended.set(), say({"ended": True})))
    while not ended.is_set():
        yield "x" * 1000


gathering = threading.Barrier(100)


def gather(number, context):
    """Answers when a hundred are here at once."""
    gathering.wait(PATIENCE)
    return number


def mirror(message, context):
    return message


texts = dict(request_deserializer=bytes.decode, response_serializer=str.encode)
methods = {
    "Hello": grpc.unary_unary_rpc_method_handler(hello, **texts),
    "Refuse": grpc.unary_unary_rpc_method_handler(refuse, **texts),
    "RefuseLater": grpc.unary_stream_rpc_method_handler(refuse_later, **texts),
    "Feed": grpc.unary_stream_rpc_method_handler(feed, **texts),
    "Release": grpc.unary_unary_rpc_method_handler(release, **texts),
    "Collect": grpc.stream_unary_rpc_method_handler(collect, **texts),
    "Chat": grpc.stream_stream_rpc_method_handler(chat, **texts),
    "Wait": grpc.unary_unary_rpc_method_handler(wait, **texts),
    "Flood": grpc.unary_stream_rpc_method_handler(flood, **texts),
    "Gather": grpc.unary_unary_rpc_method_handler(gather, **texts),
    "Mirror": grpc.unary_unary_rpc_method_handler(mirror),
}
server = grpc.server(
    ThreadPoolExecutor(max_workers=120),
    options=[("grpc.max_receive_message_length", LARGEST), ("grpc.max_send_message_length", LARGEST)],
)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Greeter", methods),))
say({"port": server.add_insecure_port("127.0.0.1:0")})
server.start()
sys.stdin.read()
server.stop(None)
