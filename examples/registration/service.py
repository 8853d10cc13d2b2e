"""A service that registers itself at the gateway, sends heartbeats, and deregisters when it is told to stop.

    GATEWAY=http://localhost:8080 CLIENT_ID=… CLIENT_SECRET=… SERVICE=orders PORT=8001 python3 service.py

It needs only Python's standard library. The client comes from `gateway client add orders --scope services:register`.
"""

import base64
import http.server
import json
import os
import signal
import threading
import urllib.error
import urllib.request

GATEWAY = os.environ.get("GATEWAY", "http://localhost:8080")
SERVICE = os.environ.get("SERVICE", "orders")
TTL_SECONDS = 30


class Orders(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A little longer than the gateway keeps an idle connection.
    timeout = 10

    def do_GET(self):
        body = json.dumps({"service": SERVICE, "path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Registration:
    """Keeps one instance registered, in a thread of its own."""

    def __init__(self, port):
        self.port = port
        self.token = None
        self.id = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stopping.is_set():
            try:
                self.beat()
                # Three heartbeats in a lease: two may be lost.
                self.stopping.wait(TTL_SECONDS / 3)
            except OSError as error:
                # The gateway may be starting, or its store away. It serves on with what it knows.
                print(f"registration: {error}", flush=True)
                self.stopping.wait(1)

    def beat(self):
        if self.id and self.call("PUT", f"/{self.id}") is None:
            # The lease has ended, for example while this machine was suspended.
            self.id = None
        if not self.id:
            # Without a `url` the gateway registers the address that this request comes from.
            self.id = self.call("POST", "", {"port": self.port, "ttl_seconds": TTL_SECONDS})["id"]

    def deregister(self):
        self.stopping.set()
        self.thread.join()
        if self.id:
            self.call("DELETE", f"/{self.id}")

    def call(self, method, path, body=None):
        """The response, or None for 404. A token that has expired is replaced once."""
        for attempt in (1, 2):
            request = urllib.request.Request(
                f"{GATEWAY}/services/{SERVICE}/instances{path}",
                method=method,
                data=None if body is None else json.dumps(body).encode(),
                headers={"Authorization": f"Bearer {self.token or self.new_token()}", "Content-Type": "application/json"},
            )
            try:
                with urllib.request.urlopen(request, timeout=5) as response:
                    return json.loads(response.read() or b"{}")
            except urllib.error.HTTPError as error:
                if error.code == 404 and method == "PUT":
                    return None
                if error.code != 401 or attempt == 2:
                    raise OSError(f"{method}: {error.code} {error.read().decode()}") from error
                self.token = None

    def new_token(self):
        secret = f"{os.environ['CLIENT_ID']}:{os.environ['CLIENT_SECRET']}".encode()
        request = urllib.request.Request(
            f"{GATEWAY}/oauth2/token",
            data=b"grant_type=client_credentials",
            headers={"Authorization": "Basic " + base64.b64encode(secret).decode()},
        )
        with urllib.request.urlopen(request, timeout=5) as response:
            self.token = json.load(response)["access_token"]
        return self.token


def main():
    # Listen first: the gateway sends requests as soon as the instance is registered.
    server = http.server.ThreadingHTTPServer(("", int(os.environ.get("PORT", "8001"))), Orders)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    registration = Registration(server.server_address[1])
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    registration.thread.start()
    stop.wait()
    try:
        registration.deregister()
    except OSError as error:
        print(f"deregistration: {error}", flush=True)
    # Every gateway learns of it within a second, and until then still sends requests.
    threading.Event().wait(1)
    server.shutdown()


if __name__ == "__main__":
    main()
