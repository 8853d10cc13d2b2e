"""TLS under a client's connection, and the certificate of the gateway, which is replaced again and again."""

import asyncio
import hashlib
import ssl
import subprocess

REPLACED_EVERY = 5


class Layer:
    """Between what a client says and what goes over its socket, without either of them waiting for the other."""

    seen = set()  # digests of the certificates that were shown

    def __init__(self, protocol):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols([protocol])
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    async def begin(self, send, receive):
        while True:
            try:
                self.ssl.do_handshake()
                break
            except ssl.SSLWantReadError:
                await send(self.outgoing.read())
                data = await receive()
                if not data:
                    raise ConnectionResetError("the connection ended in its handshake")
                self.incoming.write(data)
            except ssl.SSLError as error:
                raise ConnectionResetError(str(error)) from error
        await send(self.outgoing.read())
        self.seen.add(hashlib.sha256(self.ssl.getpeercert(binary_form=True)).hexdigest())

    def sealed(self, data):
        """What goes over the socket for `data`."""
        at = 0
        while at < len(data):
            at += self.ssl.write(data[at:])
        return self.outgoing.read()

    def farewell(self):
        """What says that nothing more comes from here."""
        try:
            self.ssl.unwrap()
        except (ssl.SSLError, OSError):
            pass
        return self.outgoing.read()

    def opened(self, data):
        """What a part of what came over the socket means; None if it is not enough yet, nothing at the end."""
        if data is None:
            pass
        elif data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()
        try:
            return self.ssl.read(1 << 20)
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLError, OSError):
            return b""


class Certificate:
    """Two files that belong together, except for the moments in which they are replaced."""

    def __init__(self, folder):
        self.folder, self.made = folder, []
        self.certificate, self.key = folder / "certificate.pem", folder / "key.pem"
        self.replace()

    def replace(self):
        new = self.folder / "new-certificate.pem", self.folder / "new-key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                        "-subj", f"/CN=number {len(self.made)}", "-addext", "subjectAltName=DNS:localhost", "-out", new[0],
                        "-keyout", new[1]], check=True, capture_output=True)
        self.made.append(hashlib.sha256(ssl.PEM_cert_to_DER_cert(new[0].read_text())).hexdigest())
        new[0].replace(self.certificate)
        new[1].replace(self.key)

    async def keep_replacing(self):
        while True:
            await asyncio.sleep(REPLACED_EVERY)
            await asyncio.to_thread(self.replace)

    def shown(self):
        """How many of those that were made some client has seen."""
        return len(Layer.seen.intersection(self.made))
