"""Sizes of pages that cannot be are refused before memory is taken for them; those of healthy tables are understood."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from duchenne.data.stored import pages
from duchenne.data.stored.parquet import read_parquet

HUGE = Path(__file__).parents[1] / "reliability" / "damaged" / "prepared--001412--frames.parquet"
LIMITED = """
import resource, sys
from pathlib import Path
import pyarrow.parquet
from duchenne.data.stored.parquet import read_parquet
from duchenne.errors import InputError
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 2**28, taken + 2**28))
try:
    read_parquet(Path(sys.argv[1]))
except InputError as error:
    print(error)
"""


def table() -> pa.Table:
    rng = np.random.default_rng(0)
    rows = 20_000
    points = pa.FixedSizeListArray.from_arrays(pa.array(rng.normal(size=rows * 20).astype("f4")), 20)
    names = [f"person {number // 300}" for number in range(rows)]
    long = pa.array(["x" * 9000, None] * (rows // 2))
    whole = {"time_s": rng.normal(size=rows), "AU12": np.zeros(rows, np.int8), "kept": rng.random(rows) < 0.5}
    return pa.table({**whole, "subject": names, "landmarks": points, "long": long})


@pytest.mark.parametrize("packer", ["snappy", "gzip", "zstd", "none"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_headers_add_up_to_what_the_footer_says(tmp_path: Path, packer: str, version: str) -> None:
    """A column's sizes in the footer are those of its pages and their headers."""
    path = tmp_path / "a.parquet"
    pq.write_table(table(), path, compression=packer, data_page_version=version, row_group_size=7000,
                   write_page_checksum=True, data_page_size=2**16)  # fmt: skip
    metadata, seen = pq.read_metadata(path), 0
    with path.open("rb") as content:
        for group in range(metadata.num_row_groups):
            for number in range(metadata.num_columns):
                column = metadata.row_group(group).column(number)
                place = column.dictionary_page_offset or column.data_page_offset
                packed = unpacked = 0
                while packed < column.total_compressed_size:
                    found = pages._header(content, place + packed)
                    assert found is not None
                    packed, unpacked, seen = packed + found[0] + found[3], unpacked + found[0] + found[2], seen + 1
                assert (packed, unpacked) == (column.total_compressed_size, column.total_uncompressed_size)
    assert seen > 30
    assert read_parquet(path).equals(table())


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux to say how much memory is taken")
def test_a_page_larger_than_its_file_takes_no_memory() -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, HUGE], check=True, capture_output=True, text=True)
    assert done.stdout.startswith(f"{HUGE}: cannot be read (a page is said to have ")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(("unpacked", "refused"), [(2**26, False), (2**26 + 1, True)])
def test_what_unpacks_to_far_more_than_it_can_hold_is_refused(tmp_path: Path, unpacked: int, refused: bool) -> None:
    """A page of 9,000 bytes, which gzip could make of 9,288,000; the header is that of a data page of 5 values."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["x" * 9000]}), path, compression="none", use_dictionary=False)
    place = pq.read_metadata(path).row_group(0).column(0).data_page_offset
    with path.open("rb") as content:
        length = pages._header(content, place)[0]  # type: ignore[index]
    data = bytearray(path.read_bytes())
    header = b"\x15\x00\x15" + zigzag(unpacked) + b"\x15" + zigzag(9000) + b"\x00"
    data[place : place + len(header)] = header
    assert len(header) < length
    path.write_bytes(data)
    with path.open("rb") as content:
        if refused:
            with pytest.raises(ValueError, match="a page of 9000 bytes is said to hold 67108865"):
                pages.check_pages(pq.ParquetFile(path), content)
        else:
            pages.check_pages(pq.ParquetFile(path), content)


def zigzag(value: int) -> bytes:
    """As Thrift writes a positive number: doubled, in groups of 7 bits, the lowest first."""
    bits, found = 2 * value, []
    while bits > 127:
        found.append(bits % 128 + 128)
        bits //= 128
    return bytes([*found, bits])
