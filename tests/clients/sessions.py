"""A session of a Python library for HTTP with the depot: the same requests as fetch.mjs.

sessions.py LIBRARY URL TOKEN
LIBRARY is requests, httpx, or httpx2 for httpx over HTTP/2. Prints what came of it.
"""

import asyncio
import hashlib
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import requests

TIMEOUT = 60


def described(bytes):
    return {"length": len(bytes), "sha256": hashlib.sha256(bytes).hexdigest()}


class Requests:
    def __init__(self, token):
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {token}"
        self.addresses = set()

    def get(self, url, headers={}):
        with self.session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            self.seen(answer)
            return b"".join(answer.iter_content(10_000))

    def post(self, url, content):
        with self.session.post(url, data=content, stream=True, timeout=TIMEOUT) as answer:
            self.seen(answer)
            return answer.content

    def at_once(self, url, count):
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda _: self.get(url), range(count)))

    def abandon(self, url):
        """Reads the beginning alone."""
        with self.session.get(url, stream=True, timeout=TIMEOUT) as answer:
            return len(next(answer.iter_content(1000)))

    def seen(self, answer):
        self.version = {10: "HTTP/1.0", 11: "HTTP/1.1"}[answer.raw.version]
        self.addresses.add(answer.raw.connection.sock.getsockname())


class Httpx:
    def __init__(self, token, http2):
        headers = {"Authorization": f"Bearer {token}"}
        self.options = dict(http1=not http2, http2=http2, headers=headers, timeout=TIMEOUT, trust_env=False)
        self.client = httpx.Client(**self.options)
        self.addresses = set()

    def get(self, url, headers={}):
        with self.client.stream("GET", url, headers=headers) as answer:
            self.seen(answer)
            return b"".join(answer.iter_bytes())

    def post(self, url, content):
        with self.client.stream("POST", url, content=content) as answer:
            self.seen(answer)
            return answer.read()

    def at_once(self, url, count):
        """As tasks: of threads that share a connection of HTTP/2, two may take the same stream (httpcore)."""

        async def ask():
            async with httpx.AsyncClient(**self.options) as client:
                answers = await asyncio.gather(*(client.get(url) for _ in range(count)))
                return [answer.content for answer in answers]

        return asyncio.run(ask())

    def abandon(self, url):
        with self.client.stream("GET", url) as answer:
            return len(next(answer.iter_bytes(1000)))

    def seen(self, answer):
        self.version = answer.http_version
        self.addresses.add(answer.extensions["network_stream"].get_extra_info("client_addr"))

def in_pieces(content):
    """Without a length, and of a size that nothing on the way has."""
    for start in range(0, len(content), 54_321):
        yield content[start : start + 54_321]


library, url, token = sys.argv[1:]
session = Requests(token) if library == "requests" else Httpx(token, library == "httpx2")
small, large = f"{url}bytes/1000", f"{url}bytes/5000000"
report = {"repeated": [described(session.get(small)) for _ in range(20)], "uploads": []}
for content in [os.urandom(5_000_000), os.urandom(1), b""]:
    for body in [content, in_pieces(content)]:
        said = json.loads(session.post(f"{url}described", body))
        report["uploads"].append({"sent": described(content), "arrived": said})
report["downloads"] = [described(session.get(large)), described(session.get(f"{url}chunks/5000000"))]
report["refused"] = json.loads(session.get(small, {"Authorization": "Bearer nonsense"}))["code"]
report["after"] = described(session.get(small))
report |= {"version": session.version, "connections": len(session.addresses)}
report["at_once"] = [described(content) for content in session.at_once(small, 100)]
report["abandoned"] = [session.abandon(large) for _ in range(3)]
report["in_the_end"] = described(session.get(small))
print(json.dumps(report))
