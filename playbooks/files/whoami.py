"""A stand-in for a server somewhere in the world: whoever asks is told the address that was seen of him."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Whoami(BaseHTTPRequestHandler):
    """Answers every GET with the client's address."""

    def do_GET(self) -> None:
        """One line: the address."""
        body = f"{self.client_address[0]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Whoami).serve_forever()
