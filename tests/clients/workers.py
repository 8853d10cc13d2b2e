"""A service with gunicorn and two synchronous workers, each of which does one thing at a time.

Prints its port. It answers with the size of the body that it was sent.
"""

import json
import socket

from gunicorn.app.base import BaseApplication


def answer(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    text = str(len(body)).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]


class Service(BaseApplication):
    def __init__(self, options):
        self.options = options
        super().__init__()

    def load_config(self):
        for name, value in self.options.items():
            self.cfg.set(name, value)

    def load(self):
        return answer


listener = socket.create_server(("127.0.0.1", 0))
print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
# gunicorn's own time limit must not free the workers.
Service({"bind": f"fd://{listener.fileno()}", "workers": 2, "worker_class": "sync", "timeout": 600}).run()
