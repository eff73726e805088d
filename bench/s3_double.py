"""S3 as far as an upload needs it: takes objects and parts, keeps their sizes, discards their bytes.

A stand-in that stores, hashes and parses in Python takes longer over an upload than the program that sends it, and
would be what is measured. Run as a program it serves until it is ended, and prints its port first.
"""

from __future__ import annotations

import re
import socket
import socketserver
import sys
from itertools import count

_UPLOAD = b"<InitiateMultipartUploadResult><UploadId>upload</UploadId></InitiateMultipartUploadResult>"
_COMPLETED = b'<CompleteMultipartUploadResult><ETag>"etag"</ETag></CompleteMultipartUploadResult>'
_MISSING = b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"
_VERSIONS = count(1)


class _Connection(socketserver.StreamRequestHandler):
    rbufsize = 1 << 16

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._discarded = memoryview(bytearray(1 << 20))

    def handle(self) -> None:
        while request := self.rfile.readline():
            method, target, _ = request.decode("latin-1").split(" ", 2)
            headers: dict[str, str] = {}
            while line := self.rfile.readline().strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            if headers.get("expect") == "100-continue":
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            left = int(headers.get("content-length", "0"))
            while left > 0:
                left -= self.rfile.readinto(self._discarded[:left])  # type: ignore[attr-defined]
            self._answer(method, target)

    def _answer(self, method: str, target: str) -> None:
        status, content = "200 OK", b""
        if method == "GET":
            status, content = "404 Not Found", _MISSING
        elif method == "POST":
            content = _COMPLETED if re.search(r"[?&]uploadId=", target) else _UPLOAD
        self.wfile.write(
            f"HTTP/1.1 {status}\r\ncontent-length: {len(content)}\r\ncontent-type: application/xml\r\n"
            f'etag: "etag"\r\nx-amz-version-id: v{next(_VERSIONS)}\r\n\r\n'.encode()
            + content
        )


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    """Serve on a free port of loopback."""
    with _Server(("127.0.0.1", 0), _Connection) as server:
        print(server.server_address[1])
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
