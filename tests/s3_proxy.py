"""A proxy between the tests and the real S3 server, for what goes wrong in between: TLS, bodies that break off, a network that is gone."""

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes on over TCP.

    Attributes:
        break_after: How many bytes of each of the coming answers pass before the connection is cut; used up one by one.
        refuse: So many of the coming connections are closed at once.
        status: What every request is answered with, 500 for example; 0: what the server answers.
        bytes_per_s: How fast answers pass; 0: as fast as they come.
    """

    def __init__(self, endpoint: str, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(endpoint)
        self._target = parts.hostname or "", parts.port or 80
        self._tls, self.break_after, self.refuse, self.status, self.bytes_per_s = tls, list[int](), 0, 0, 0
        self._open: set[socket.socket] = set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if tls else "http"
        self.endpoint = f"{scheme}://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def set(self, *, refuse: int = 0, status: int = 0, bytes_per_s: int = 0) -> None:
        """From now on so; connections that clients keep are cut, as they would pass by it."""
        self.refuse, self.status, self.bytes_per_s = refuse, status, bytes_per_s
        if refuse or status:
            for one in list(self._open):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(client.close)
            if self.refuse > 0:
                self.refuse -= 1
                return
            if self._tls:
                client = stack.enter_context(self._tls.wrap_socket(client, server_side=True))
            if self.status:
                self._answer(client)
                return
            self._open.add(client)
            stack.callback(self._open.discard, client)
            server = stack.enter_context(socket.create_connection(self._target))
            thread = threading.Thread(target=self._pass, args=(client, server), daemon=True)
            thread.start()
            self._pass(server, client, answer=True)
            for one in (server, client):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            thread.join(5)

    def _answer(self, client: socket.socket) -> None:
        """As S3 answers when it cannot; what the client still sends is taken off, or it would see a broken connection."""
        head = b""
        while b"\r\n\r\n" not in head and (data := client.recv(1 << 16)):
            head += data
        said = b"SlowDown" if self.status == 503 else b"InternalError"
        body = b"" if head.startswith(b"HEAD") else b"<Error><Code>%s</Code><Message>made by the proxy</Message></Error>" % said
        client.sendall(b"HTTP/1.1 %d Made\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (self.status, len(body), body))
        client.shutdown(socket.SHUT_WR)
        client.settimeout(5)
        while client.recv(1 << 16):
            pass

    def _pass(self, source: socket.socket, target: socket.socket, *, answer: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if answer and self.break_after and len(data) > 1_000:
                    target.sendall(data[: self.break_after.pop(0)])
                    return
                if answer and self.bytes_per_s:
                    data = self._slowly(data, target)
                target.sendall(data)

    def _slowly(self, data: bytes, target: socket.socket) -> bytes:
        """Pass tenths of a second's share until it may go fast again; what is left."""
        while data and self.bytes_per_s:
            share = max(1, self.bytes_per_s // 10)
            target.sendall(data[:share])
            data = data[share:]
            time.sleep(0.1)
        return data

    def close(self) -> None:
        self._listening.close()


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context for 127.0.0.1, and the file of the authority that signed it: itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context, folder / "ca.pem"
