"""Too little memory to decode a file is said of the memory, not of the file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.faces.media import flat, write_video

from duchenne.errors import InputError
from duchenne.faces.recordings.formats import enough
from duchenne.faces.recordings.stills import refusing

LIMITED = """
import resource, sys
import av, cv2
from duchenne.errors import InputError
from duchenne.faces.decode import probe, read_pictures
from pathlib import Path
for path, megabytes in zip(sys.argv[1::2], sys.argv[2::2]):
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for use in (lambda: list(read_pictures(path)), lambda: probe(path)):
        resource.setrlimit(resource.RLIMIT_AS, (taken + int(megabytes) * 2**20, resource.RLIM_INFINITY))
        try:
            use()
            said = "read"
        except InputError as error:
            said = str(error)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(said)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux to say how much memory is taken")
def test_it_is_said_of_the_memory(tmp_path: Path) -> None:
    """A picture of 6000 x 6000 pixels takes 108 MB, where 90 are left; threads take their stacks, where 1 is left."""
    still, film = tmp_path / "a.png", tmp_path / "a.mkv"
    cv2.imwrite(str(still), np.zeros((6000, 6000, 3), np.uint8))
    write_video(film, map(flat, range(20, 220, 10)), codec="libvpx-vp9")
    for path in (still, film):
        done = subprocess.run(
            [sys.executable, "-c", LIMITED, path, "1000", path, "90" if path == still else "1"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        lines = done.stdout.splitlines()
        assert lines[:2] == ["read", "read"]
        assert len(lines) == 4
        for line in lines[2:]:
            assert line.startswith(f"{path}: there is not enough memory ")
            assert "raise the limit (`ulimit -v`)" in line


def test_whatever_decoder_ran_out() -> None:
    import av

    missing, damaged = cv2.error("Failed to allocate 9 bytes"), cv2.error("a strange header")
    missing.code, damaged.code = -4, -215  # CV_StsNoMem, CV_StsAssert of OpenCV's C interface
    with pytest.raises(MemoryError), refusing():
        raise missing
    with refusing():
        raise damaged
    for error in (MemoryError(), av.error.MemoryError(12, "Cannot allocate memory"), av.error.BlockingIOError(11, "x")):
        with pytest.raises(InputError, match=r"^a\.mp4: there is not enough memory"), enough(Path("a.mp4")):
            raise error
    with pytest.raises(av.error.InvalidDataError), enough(Path("a.mp4")):
        raise av.error.InvalidDataError(1094995529, "Invalid data")
