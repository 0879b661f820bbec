"""A web server outside of the cloud that answers each request with the client's address. playbooks/demo.yml runs it."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Whoami(BaseHTTPRequestHandler):
    """Answers every GET with the client's address."""

    def do_GET(self) -> None:
        """Send the client's address as a line."""
        body = f"{self.client_address[0]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Whoami).serve_forever()
