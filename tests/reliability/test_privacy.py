"""Finding faces sends nothing: MediaPipe would report usage figures, and is kept from it."""

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

TRUSTING = """
import sys, time
import certifi
import numpy as np

certifi.where = lambda: sys.argv[1]  # the authority of the listener below is one that this computer trusts
"""
PLAIN = (
    TRUSTING
    + """
import mediapipe
from mediapipe.tasks.python import BaseOptions, vision

options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_path=sys.argv[2]))
landmarker = vision.FaceLandmarker.create_from_options(options)
landmarker.detect(mediapipe.Image(mediapipe.ImageFormat.SRGB, np.zeros((64, 64, 3), np.uint8)))
landmarker.close()
time.sleep(2)
"""
)
OURS = (
    TRUSTING
    + """
from duchenne.faces.find import FaceFinder

with FaceFinder() as finder:
    finder.find(np.zeros((64, 64, 3), np.uint8))
time.sleep(2)
"""
)


class Listener:
    """A proxy that answers in the name of every server, with a certificate of the authority `ca.pem` in `folder`.

    Attributes:
        asked: the servers that someone wanted to reach.
        received: what was sent to them, decrypted.
    """

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self.received: list[bytes] = []
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(folder / "server.pem", folder / "server.key")
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.settimeout(5)
            try:
                self.asked.append(connection.recv(4096).decode().split()[1])
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                with self._tls.wrap_socket(connection, server_side=True) as secure:
                    if sent := secure.recv(4096):
                        self.received.append(sent)
            except OSError:  # refused: the other side does not know the authority
                connection.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True)

    key = ("-newkey", "rsa:2048", "-nodes")
    (tmp_path / "names").write_text("subjectAltName=DNS:play.googleapis.com\n")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test")
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=play.googleapis.com")
    signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    openssl("x509", "-req", "-in", "server.csr", "-out", "server.pem", *signing)
    made = Listener(tmp_path)
    yield made
    made.close()


def run(code: str, listener: Listener, *arguments: Path) -> None:
    variables = {**os.environ, "https_proxy": listener.address, "no_proxy": ""}
    subprocess.run(
        [sys.executable, "-c", code, *arguments], env=variables, check=True, capture_output=True, timeout=120
    )


@pytest.mark.slow
@pytest.mark.openssl
def test_mediapipe_reports_usage_when_left_alone(listener: Listener, shared: Path, tmp_path: Path) -> None:
    run(PLAIN, listener, tmp_path / "ca.pem", shared / "models" / "face_landmarker.task")
    assert listener.asked == ["play.googleapis.com:443"]
    assert listener.received[0].startswith(b"POST /log ")


@pytest.mark.slow
@pytest.mark.openssl
@pytest.mark.usefixtures("shared")
def test_finding_faces_reports_nothing(listener: Listener, tmp_path: Path) -> None:
    run(OURS, listener, tmp_path / "ca.pem")
    assert listener.asked == []  # not even a connection
    assert listener.received == []


TRACED = """
import os, sys, time
import numpy as np
from duchenne.faces.find import FaceFinder

with FaceFinder() as finder:
    finder.find(np.zeros((64, 64, 3), np.uint8))
time.sleep(1)
print(os.popen("echo $https_proxy").read().strip())
"""


@pytest.mark.strace
@pytest.mark.usefixtures("shared")
def test_finding_faces_opens_no_socket(tmp_path: Path) -> None:
    """Neither to a server nor to ask for its name; afterwards the environment is as it was."""
    trace = tmp_path / "trace"
    words = [
        "strace",
        "-f",
        "-qq",
        "-o",
        str(trace),
        "-e",
        "signal=none",
        "-e",
        "trace=connect,sendto,sendmsg,sendmmsg",
    ]
    variables = {**os.environ, "https_proxy": "http://example.invalid:1", "no_proxy": "*"}
    done = subprocess.run(
        [*words, sys.executable, "-c", TRACED], env=variables, capture_output=True, text=True, check=True, timeout=120
    )
    assert trace.read_text() == ""
    assert done.stdout.strip() == "http://example.invalid:1"
