"""A WebSocket service and somebody who opens WebSockets, both with websockets.

Prints the service's port. Then it does what each line of its input says, and answers with a line, both JSON. A message is
a text, or {"hex": …} if it is binary.
"""

import json
import os
import queue
import sys
import threading

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import serve

PATIENCE = 30
LARGEST = 16 * 1024 * 1024

# The ends of connections, as the service sees them.
ended = queue.SimpleQueue()


def refuse(connection, request):
    if request.path == "/refused":
        return connection.respond(418, "not with me\n")


def serve_one(connection):
    """Echoes; `close CODE REASON` makes it close, `who` makes it say who calls."""
    try:
        for message in connection:
            match message.split(" ", 2) if isinstance(message, str) else []:
                case ["close", code, reason]:
                    connection.close(int(code), reason)
                case ["who"]:
                    headers = connection.request.headers
                    connection.send(f"{headers.get('X-User-Id')} {headers.get('Authorization')}")
                case _:
                    connection.send(message)
    except ConnectionClosed:
        pass
    ended.put({"code": connection.close_code, "reason": connection.close_reason})


service = serve(serve_one, "127.0.0.1", 0, process_request=refuse, subprotocols=["chat.v2"], max_size=LARGEST)
threading.Thread(target=service.serve_forever, daemon=True).start()


def shown(message):
    return message if isinstance(message, str) else {"hex": message.hex()}


class Caller:
    def __init__(self):
        self.connections = {}

    def open(self, command):
        headers = {"Authorization": f"Bearer {token}"} if (token := command.get("token")) else None
        try:
            connection = connect(
                command["url"],
                additional_headers=headers,
                compression=command.get("compression"),
                subprotocols=["chat.v1", "chat.v2"],
                max_size=LARGEST,
                open_timeout=PATIENCE,
                proxy=None,
            )
        except InvalidStatus as error:
            return {"status": error.response.status_code, "body": error.response.body.decode()}
        self.connections[command["name"]] = connection
        offered = connection.response.headers.get("Sec-WebSocket-Extensions")
        return {"subprotocol": connection.subprotocol, "extension": offered and offered.split(";")[0]}

    def say(self, command):
        """A message, whole or in the fragments of a list; what comes back."""
        connection = self.connections[command["name"]]
        message = command["message"]
        connection.send(bytes.fromhex(message["hex"]) if isinstance(message, dict) else message)
        return {"heard": shown(connection.recv(PATIENCE))}

    def say_much(self, command):
        connection = self.connections[command["name"]]
        message = os.urandom(command["bytes"])
        connection.send(message)
        answer = connection.recv(PATIENCE)
        return {"bytes": len(answer), "the_same": answer == message}

    def ping(self, command):
        return {"pong": self.connections[command["name"]].ping().wait(PATIENCE)}

    def close(self, command):
        connection = self.connections[command["name"]]
        connection.close(command["code"], command["reason"])
        return {"code": connection.close_code, "reason": connection.close_reason}

    def end(self, command):
        """Waits for the other side to end it; a code of 1006 says that it was cut off."""
        connection = self.connections[command["name"]]
        if "message" in command:
            connection.send(command["message"])
        try:
            return {"heard": shown(connection.recv(PATIENCE))}
        except ConnectionClosed:
            return {"code": connection.close_code, "reason": connection.close_reason}

    def service_saw(self, _):
        return ended.get(timeout=PATIENCE)


caller = Caller()
print(json.dumps({"port": service.socket.getsockname()[1]}), flush=True)
for line in sys.stdin:
    command = json.loads(line)
    print(json.dumps(getattr(caller, command["do"])(command)), flush=True)
