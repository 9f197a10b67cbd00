"""Nobody else gets anything out of the page's server, or into it."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.reviewing.made import Site, film, recordings, serving, table

CODES = "source,au,onset_s,offset_s\nfilm.webm,12,0.5,1\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    outside = tmp_path_factory.mktemp("outside")
    film(outside / "secret.webm", [0, 40])
    (outside / "secret.txt").write_text("secret")
    folder = recordings(tmp_path_factory.mktemp("study") / "recordings")
    (folder / "linked.webm").symlink_to(outside / "secret.webm")
    (folder / "codes.csv").write_text(CODES)
    with serving(folder) as made:
        yield made


def test_the_page_answers_with_the_token(site: Site) -> None:
    status, headers, body = site.get("")
    assert status == 200
    assert b"Duchenne" in body
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/", "/api/state", "/{wrong}/", "/{wrong}/api/state", "/{half}/api/state", "/{token}"]
)
def test_without_the_token_nothing(site: Site, path: str) -> None:
    given = path.format(wrong="x" * len(site.token), half=site.token[:-1], token=site.token)
    status, headers, body = site.request("GET", given)
    assert status == 403
    assert b"film" not in body
    assert "content-security-policy" in headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil:{port}", ""]
)
def test_other_host_names_are_refused(site: Site, host: str) -> None:
    status, _, body = site.request("GET", f"/{site.token}/api/state", headers={"Host": host.format(port=site.port)})
    assert status in (400, 421)
    assert b"film" not in body


def test_localhost_is_this_computer(site: Site) -> None:
    assert site.request("GET", f"/{site.token}/", headers={"Host": f"localhost:{site.port}"})[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_pages_are_refused(site: Site, headers: dict[str, str]) -> None:
    before = site.json("recordings/r0/codes?coder=")
    body = b'{"mark": "", "codes": []}'
    status, _, _ = site.request("PUT", f"/{site.token}/api/recordings/r0/codes", body, headers)
    assert status == 403
    assert site.json("recordings/r0/codes?coder=") == before


@pytest.mark.parametrize(
    "path",
    [
        "page/../server.py", "page/..%2Fserver.py", "page/%2e%2e/server.py", "api/recordings/../../codes.csv",
        "api/recordings/..%2F..%2Fsecret.txt/video", "api/recordings/%2Fetc%2Fpasswd/video", "../secret.txt",
        "codes.csv",
        "api/recordings/r0/../../../video", "api/recordings/r99/video", "page/__init__.py", "page/",
    ],
)  # fmt: skip
def test_no_path_leads_elsewhere(site: Site, path: str) -> None:
    status, _, body = site.get(path)
    assert status in (400, 403, 404, 405)
    assert b"secret" not in body
    assert b"root:" not in body
    assert b"import" not in body


def test_a_link_out_of_the_folder_is_no_recording(site: Site) -> None:
    state = site.json("state")
    assert [one["source"] for one in state["recordings"]] == ["film.webm"]
    assert "link out of" in state["skipped"][0]


def test_a_file_that_becomes_a_link_out_is_refused(tmp_path: Path) -> None:
    folder = recordings(tmp_path / "recordings")
    film(tmp_path / "secret.webm", [0, 40])
    with serving(folder) as site:
        assert site.get("api/recordings/r0/video")[0] == 200
        (folder / "film.webm").unlink()
        (folder / "film.webm").symlink_to(tmp_path / "secret.webm")
        status, _, body = site.get("api/recordings/r0/video")
        assert status == 400
        assert b"does not lie in the folder" in body


def test_a_linked_folder_out_of_the_folder_is_left_out(tmp_path: Path) -> None:
    folder = recordings(tmp_path / "recordings")
    (tmp_path / "other").mkdir()
    film(tmp_path / "other" / "secret.webm", [0, 40])
    (folder / "sub").symlink_to(tmp_path / "other")
    with serving(folder) as site:
        assert [one["source"] for one in site.json("state")["recordings"]] == ["film.webm"]


@pytest.mark.parametrize(("given", "length"), [("bytes=0-99", 100), ("bytes=100-", None), ("bytes=-7", 7)])
def test_videos_come_in_ranges(site: Site, given: str, length: int | None) -> None:
    _, whole_headers, whole = site.get("api/recordings/r0/video")
    assert whole_headers["accept-ranges"] == "bytes"
    status, headers, body = site.get("api/recordings/r0/video", Range=given)
    assert status == 206
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", headers["content-range"])
    assert found
    assert body == whole[int(found[1]) : int(found[2]) + 1]
    assert length in (None, len(body))


def test_a_gigabyte_is_refused_before_it_is_read(site: Site) -> None:
    headers = {"Content-Length": str(2**30), "Content-Type": "application/octet-stream"}
    status, _, body = site.request("POST", f"/{site.token}/api/import?name=a.csv&coder=x", None, headers)
    assert status == 413
    assert b"20 MB" in body


def test_what_comes_without_a_length_has_an_end(site: Site) -> None:
    import socket

    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as wire:
        head = f"POST /{site.token}/api/import?name=a.csv&coder=x HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
        head += "Transfer-Encoding: chunked\r\n\r\n"
        wire.sendall(head.encode())
        piece = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        sent = 0
        try:
            for _ in range(64):
                wire.sendall(piece)
                sent += 1
        except OSError:
            pass
        answered = b""
        with contextlib.suppress(OSError):
            answered = wire.recv(4096)
    assert b" 200 " not in answered
    assert site.json("state")["coders"] == [""]


@pytest.mark.parametrize("name", ["a.exe", "../../a.py", ".csv", "a", "a.csv.html"])
def test_only_files_of_codes_are_taken_in(site: Site, name: str) -> None:
    status, _, _ = site.request("POST", f"/{site.token}/api/import?name={name}&coder=x", CODES.encode())
    assert status == 400


@pytest.mark.parametrize(
    "code",
    [
        {"kind": "au", "au": 12, "onset_s": 2, "offset_s": 1}, {"kind": "au", "au": 100}, {"kind": "au"}, {"kind": "x"},
        {"kind": "au", "au": 12, "onset_s": -1}, {"kind": "au", "au": 12, "onset_s": "1"}, {"kind": "au", "au": True},
        {"kind": "au", "au": 12, "onset_s": 1e400}, {"kind": "au", "au": 12, "intensity": "F"},
        {"kind": "coded", "au": 1}, {"kind": "au", "au": 12, "side": "up"}, {"kind": "au", "au": 12, "face": -1},
        {"kind": "au", "au": 12, "path": "x"}, {"kind": "unknown", "au": 12}, {"kind": "au", "au": 12, "unfinished": 1},
        {"kind": "au", "au": 12, "others": {"coder": "x"}}, {"kind": "au", "au": 12, "others": {"mood": 1}},
        "x", None, {"kind": "au", "au": 12, "comment": "x" * 100_001},
    ],
)  # fmt: skip
def test_what_is_no_code_is_refused_and_nothing_stored(site: Site, code: object) -> None:
    import json

    before = site.json("recordings/r0/codes?coder=")
    body = json.dumps({"mark": before["mark"], "codes": [code]}).encode()
    status, _, answer = site.request("PUT", f"/{site.token}/api/recordings/r0/codes?coder=", body)
    assert status == 400
    assert json.loads(answer)["error"]
    assert site.json("recordings/r0/codes?coder=") == before


def test_it_listens_on_this_computer_alone(site: Site) -> None:
    import psutil

    own = [
        one
        for one in psutil.Process().net_connections("inet")
        if one.laddr.port == site.port and one.status == "LISTEN"
    ]
    assert [one.laddr.ip for one in own] == ["127.0.0.1"]


def test_a_name_that_is_a_script_is_a_name(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    name = "<img src=x onerror=alert(1)>.webm"
    film(folder / name, [0, 40])
    table(folder / f"{name.removesuffix('.webm')}_aus.csv", name, [0.0, 0.04], AU12_s=[0.0, 1.0])
    with serving(folder) as site:
        status, headers, _ = site.get("api/state")
        assert (status, headers["content-type"]) == (200, "application/json")
        assert site.json("state")["recordings"][0]["source"] == name
        assert site.json("recordings/r0")["table"]["frames"] == 2
