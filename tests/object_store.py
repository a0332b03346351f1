"""An S3 server on this machine, and a proxy before it that fails as stores do. `python -m tests.object_store` serves.

The server is moto's: in memory, and it takes any credentials.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BUCKET = "zsad"
SECRET = "not-a-secret-but-nowhere-to-be-found"
PORT = 5055  # of the server that `make s3` starts


def environment(port: int) -> dict[str, str]:
    """The variables by which a user names a store on this machine."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "zsad",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_server(port: int) -> subprocess.Popen:
    """The server, ready, with the bucket BUCKET in it; whoever starts it ends it."""
    server = subprocess.Popen(
        [Path(sys.executable).parent / "moto_server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request(
                "PUT", f"/{BUCKET}", headers={"Authorization": "AWS4-HMAC-SHA256 Credential=x/x/us-east-1/s3/x"}
            )
            if connection.getresponse().status == 200:
                return server
        except OSError:
            pass
        if server.poll() is not None or time.monotonic() > deadline:
            server.kill()
            raise RuntimeError(f"moto_server does not start on port {port}")
        time.sleep(0.1)


Fault = Callable[[str, str], str | None]
"""Method and path of a request -> what becomes of it: a status ("503"), "slow", "cut" (half of the answer), "deaf" (it
is done, the answer does not come), "gone" (404), None (as ever)."""


class Proxy:
    """Hands requests on to the server at `port`, but for those that `fault` names; `faults` counts them."""

    def __init__(self, port: int, own_port: int):
        self.fault: Fault = lambda method, path: None
        self.faults = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:
                    self.close_connection = True

            def hand_on(self) -> None:
                fault = proxy.fault(self.command, self.path)
                proxy.faults += fault is not None
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if fault == "slow":
                    time.sleep(0.5)
                if fault == "gone":
                    return self.answer(
                        404, {"Content-Type": "application/xml"}, b"<Error><Code>NoSuchKey</Code></Error>"
                    )
                if fault and fault.isdigit():
                    return self.answer(
                        int(fault), {"Content-Type": "application/xml"}, b"<Error><Code>InternalError</Code></Error>"
                    )
                upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                upstream.request(self.command, self.path, body, dict(self.headers))
                answer = upstream.getresponse()
                content = answer.read()
                upstream.close()
                if fault == "deaf":
                    self.close_connection = True
                    return None
                return self.answer(answer.status, dict(answer.getheaders()), content, half=fault == "cut")

            def answer(self, status: int, headers: dict[str, str], content: bytes, half: bool = False) -> None:
                self.send_response(status)
                length = headers.get("Content-Length", str(len(content)))
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection", "server", "date"):
                        self.send_header(name, value)
                self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content[: len(content) // 2] if half else content)
                self.close_connection = self.close_connection or half

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = hand_on

        self.server = ThreadingHTTPServer(("127.0.0.1", own_port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = start_server(PORT)
    print(f"An S3 server with the bucket {BUCKET}, in memory, until Ctrl-C. In another terminal:\n")
    print("export " + " ".join(f"{name}={value}" for name, value in environment(PORT).items()), flush=True)
    try:
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    if "AWS_ENDPOINT_URL" in os.environ:
        sys.exit("AWS_ENDPOINT_URL is set: another server may be meant")
    main()
