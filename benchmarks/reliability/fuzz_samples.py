"""Undamaged files of every format that is read, small, and how each is read; `fuzz.py` damages them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
import openpyxl
import pandas as pd
import torch
from numpy.typing import NDArray

from duchenne.config import from_mapping
from duchenne.data.prepared import DatasetInfo, Prepared
from duchenne.data.shards import PartWriter, encode_jpeg
from duchenne.data.writing import write_prepared
from duchenne.detectors.calibrating.calibrated import CalibratedHeads
from duchenne.detectors.files import load_detector, save_detector
from duchenne.detectors.records import AuRecord, DetectorRecord
from duchenne.evaluation.comparing.compare import compare
from duchenne.faces.align import ALIGNMENT
from duchenne.faces.decode import Found, read_pictures
from duchenne.features.encoder import EncoderSource
from duchenne.heads.linear import LinearHead
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.preparing.codes.video_codes import read_codes
from duchenne.tables.codings import read_coding
from duchenne.tables.study import name_faces, read_trials
from duchenne.tables.study_tables import read_aus
from duchenne.tables.writing import read_table
from duchenne.training.checkpoints import load_checkpoint, save_checkpoint
from duchenne.training.config import method_run_config
from duchenne.training.log import read_log
from duchenne.training.recipes import load_recipe
from duchenne.training.runs import EncoderRecord, LoadedEncoder, load_encoder, save_encoder, stored_method

Read = Callable[[Path, str], Any]
"""Reads a folder of which the named file is damaged; gives what must not change without a word."""


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        read: how.
        sealed: whether damage must show: the files carry checksums. Of the others any value may be the user's own.
        weight: how often it is damaged, relative to others.
    """

    read: Read
    sealed: bool = False
    weight: float = 1.0


def digest(*values: Any) -> str:
    """A short name of arrays and plain values."""
    found = hashlib.sha256()
    for value in values:
        found.update(np.ascontiguousarray(value).tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return found.hexdigest()[:16]


def _prepared(folder: Path, _: str) -> str:
    data = Prepared([folder])
    pictures = [data.image(row) for row in range(len(data))]
    info = {key: value for key, value in vars(data.infos[0]).items() if key not in _FREE}
    table = data.frames.to_csv()
    return digest(
        info, table, data.landmarks(), data.blendshapes(), data.occurrence(), data.intensity(data.aus), *pictures
    )


_FREE: Final = ("name", "licence", "alignment", "settings", "counts")
"""What `dataset.yaml` says in words: it moves no score."""


def _encoder(folder: Path, _: str) -> str:
    loaded = load_encoder(folder)
    with torch.no_grad():
        return digest(loaded.record, loaded.encoder(torch.full((1, 3, 256, 256), 0.5)).numpy())


def _checkpoint(folder: Path, _: str) -> str:
    state = load_checkpoint(folder / "checkpoint.pt")
    return digest(state["step"], state["method"]["weight"].numpy(), repr(state["optimisers"]))


def _detector(folder: Path, _: str) -> str:
    found = load_detector(folder)
    return digest(found.record, found.heads.head.weight, found.heads.head.bias, found.heads.threshold)


def _pictures(folder: Path, name: str) -> str:
    found = Found()
    images = [picture.image for picture in read_pictures(folder / name, found=found)]
    return digest(*images, "noted" if found.notes else "")


def _plain(read: Callable[[Path], Any]) -> Read:
    return lambda folder, name: read(folder / name) and ""


def _recipe(path: Path) -> Any:
    return from_mapping(method_run_config("clp"), load_recipe(str(path), "clp"), where=str(path))


def _names(folder: Path, name: str) -> str:
    name_faces(read_table(folder / "table.csv"), folder / name)
    return ""


def _summaries(folder: Path, _: str) -> str:
    compare([folder, folder / "other"], published="bp4d")
    return ""


FORMATS: Final[Mapping[str, Format]] = {
    "prepared": Format(_prepared, sealed=True, weight=6),
    "rewritten": Format(lambda folder, name: _prepared(folder, name) and "", weight=3),
    "encoder": Format(_encoder, sealed=True, weight=1.5),
    "checkpoint": Format(_checkpoint, sealed=True, weight=2),
    "detector": Format(_detector, sealed=True, weight=1.5),
    "config": Format(_plain(stored_method)),
    "recipe": Format(_plain(_recipe), weight=2),
    "log": Format(_plain(read_log)),
    "summary": Format(
        lambda folder, _: len(compare([folder, folder / "other"], published="bp4d").warnings) and "", weight=2
    ),
    "table": Format(_plain(read_coding), weight=3),
    "study": Format(_plain(lambda path: len(read_aus(path, str(path)))), weight=2),
    "names": Format(_names, weight=1.5),
    "trials": Format(lambda folder, name: len(read_trials(folder / name, ["a.mp4"])) and "", weight=1.5),
    "codes": Format(lambda folder, name: read_codes(folder / name, ["a.mp4"]) and "", weight=3),
    "png": Format(_pictures, sealed=True),
    "picture": Format(_pictures, weight=3),
    "film": Format(_pictures, weight=3),
}


def build(root: Path) -> None:
    """Writes an undamaged folder of every format below `root`; `victims.json` names the files to damage."""
    victims: dict[str, list[str]] = {}
    root.mkdir(parents=True, exist_ok=True)
    _build_prepared(root / "prepared")
    index = sorted(f"index/1/{path.name}" for path in (root / "prepared" / "index" / "1").iterdir())
    victims["prepared"] = [
        *["frames.parquet", "dataset.yaml"] * (2 * len(index) // 3), *["shards/00000.tar"] * (len(index) // 3), *index,
    ]  # fmt: skip
    shutil.copytree(root / "prepared", root / "rewritten")
    victims["rewritten"] = ["frames.parquet"]
    victims |= _build_models(root)
    victims |= _build_texts(root)
    victims |= _build_pictures(root)
    (root / "victims.json").write_text(json.dumps(victims))


def _picture(number: int, side: int = 32) -> NDArray[np.uint8]:
    y, x = np.mgrid[:side, :side]
    rough = np.random.default_rng(number).integers(0, 40, (side, side))
    return np.stack([x * 4 + rough, y * 4 + rough, np.full_like(x, 20 * number % 200)], axis=2).astype(np.uint8)


def _build_prepared(out: Path) -> None:
    info = DatasetInfo(
        name="made",
        aus=(1, 12),
        label_kind="intensity",
        alignment="none",
        size_px=32,
        licence="CC0",
        settings={"of": 1},
    )
    points = np.random.default_rng(0).uniform(4, 28, 136).astype(np.float32)

    def produce(writer: PartWriter, part: int) -> None:
        for number in range(part * 6, part * 6 + 6):
            row = {
                "subject": f"S{number % 3}", "clip": f"c{number // 4}", "frame": number, "time_s": number / 25,
                "split": ("train", "validation", "test")[number % 3], "AU01_i": number % 6, "AU12_i": 3.0,
                "emotion": "happiness", "landmarks": points, "blendshapes": np.full(52, 0.5), "score": 0.9,
                "source": "a",
            }  # fmt: skip
            writer.add(row, encode_jpeg(_picture(number)))

    made = write_prepared(out, info, [0, 1], produce, workers=1, quiet=True)
    assert made is not None
    made.landmarks()  # which the index holds from now on
    made.blendshapes()


def _build_models(root: Path) -> dict[str, list[str]]:
    torch.manual_seed(0)
    encoder = Encoder(EncoderSpec(backbone="strided5", embedding_dim=8)).eval()
    record = EncoderRecord(
        method="clp", spec=encoder.spec, size_px=32, alignment="none", weights="none", steps=3, duchenne="0"
    )
    (root / "encoder").mkdir()
    save_encoder(root / "encoder", encoder, record)
    state = {
        "step": 3, "stage": 0, "ends": [6], "plateau": {"best": 0.5, "since": 0, "factor": 1.0}, "threads": 1,
        "method": {"weight": torch.randn(64, 64), "running_var": torch.ones(64)},
        "optimisers": [{"state": {0: {"momentum_buffer": torch.randn(64, 64)}}, "param_groups": [{"lr": 0.1}]}],
    }  # fmt: skip
    (root / "checkpoint").mkdir()
    save_checkpoint(root / "checkpoint" / "checkpoint.pt", state)
    network = Encoder(EncoderSpec(backbone="strided5", embedding_dim=8)).eval()
    part = EncoderSource.of_record("made", LoadedEncoder(network, replace(record, spec=network.spec, size_px=32), root))
    ones = np.ones(8, np.float32)
    head = LinearHead(
        low=-ones, high=ones, mean=0 * ones, factor=2 * ones, weight=np.ones((8, 1), np.float32),
        bias=np.zeros(1, np.float32), trained=np.ones(1, bool),
    )  # fmt: skip
    numbers = {"prior": 0.3, "slope": 1.0, "offset": 0.0, "threshold": 0.4}
    one = AuRecord(**numbers, passed=True, why="made", frames=9, present=3, subjects=3, showing=3, held_out=None)
    heads = CalibratedHeads(head, 0.01, **{k: np.array([v]) for k, v in numbers.items()}, usable=np.ones(1, bool))
    detector = DetectorRecord(
        model="made", parts=(part.to_spec(),), crop_px=48, alignment=ALIGNMENT, l2=0.01, aus={"AU01": one}, left_out={},
        validation={}, trained_on=(), encoder_trained_on={}, notes=(), duchenne="0",
    )  # fmt: skip
    save_detector(root / "detector", detector, heads, part, "made\n")
    return {
        "encoder": ["encoder.json", "encoder.json", "encoder.safetensors"],
        "checkpoint": ["checkpoint.pt", "checkpoint.pt", "checkpoint.json"],
        "detector": ["detector.json", "detector.json", "detector.safetensors"],
    }


def _build_texts(root: Path) -> dict[str, list[str]]:
    for name in ("config", "recipe", "log", "table", "study", "names", "trials", "codes", "summary/other"):
        (root / name).mkdir(parents=True)
    values = from_mapping(method_run_config("clp"), {}, where="")
    lines = "".join(f"{key}: {json.dumps(value)}\n" for key, value in vars(values).items())
    (root / "config" / "config.yaml").write_text(f"method: clp\ndata: [a]\n{lines}")
    (root / "recipe" / "recipe.yaml").write_text(f"method: clp\n{lines}")
    log = [{"step": step, "loss": 0.1, "lr": 0.01, "waiting": 0.2} for step in range(1, 9)]
    (root / "log" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    rows = pd.DataFrame({
        "source": "a.mp4", "frame": range(12), "time_s": np.arange(12) / 25, "face": 0, "confidence": 0.9,
        "AU01": np.linspace(0, 1, 12), "AU12": 0.5, "AU12_c": 1,
    })  # fmt: skip
    rows.to_csv(root / "table" / "table.csv", index=False)
    rows.to_parquet(root / "table" / "table.parquet", index=False)
    rows.to_excel(root / "table" / "table.xlsx", index=False)
    rows.to_csv(root / "names" / "table.csv", index=False)
    rows = rows.drop(columns=["AU01", "AU12"]).assign(AU01_s=0.5, AU12_s=-0.5, flag="", quality="dark")
    rows.to_csv(root / "study" / "a_aus.csv", index=False)
    rows.to_parquet(root / "study" / "a_aus.parquet", index=False)
    (root / "names" / "names.csv").write_text("source,face,name\na.mp4,0,Ann\n")
    (root / "trials" / "trials.csv").write_text("source,trial,onset_s,offset_s\na.mp4,one,0,0.2\na.mp4,two,0.2,0.4\n")
    (root / "codes" / "rows.csv").write_text("source,frame,AU01,AU12_i\na.mp4,0,1,2\na.mp4,1,0,3.5\na.mp4,2,9,0\n")
    (root / "codes" / "events.csv").write_text("source,au,onset_s,offset_s,intensity\na.mp4,1,0,1,2\na.mp4,12,0.5,2,\n")
    event = [1.0, "", "AU12", "", ""]
    project = {
        "observations": {"one": {
            "file": {"1": ["a.mp4"]}, "type": "MEDIA", "time offset": 0, "events": [event, [2.0, *event[1:]]],
            "media_info": {"length": {"a.mp4": 4.0}, "fps": {"a.mp4": 25.0}},
        }},
        "behaviors_conf": {"0": {"type": "State event", "code": "AU12", "modifiers": {}}}, "subjects_conf": {},
    }  # fmt: skip
    (root / "codes" / "project.boris").write_text(json.dumps(project))
    (root / "codes" / "packed.boris.gz").write_bytes(gzip.compress(json.dumps(project).encode(), mtime=0))
    (root / "codes" / "a.eaf").write_text(_EAF)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("db"), _OPF)
    (root / "codes" / "a.opf").write_bytes(packed.getvalue())
    (root / "codes" / "a.csv").write_text(_OPF)
    book = openpyxl.Workbook()
    for row in (("source", "frame", "AU01"), ("a.mp4", 0, 1), ("a.mp4", 1, 0)):
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    (root / "codes" / "rows.xlsx").write_bytes(stream.getvalue())
    for folder in (root / "summary", root / "summary" / "other"):
        (folder / "summary.json").write_text(json.dumps(_summary()))
    return {
        "config": ["config.yaml"], "recipe": ["recipe.yaml"], "log": ["log.jsonl"],
        "table": ["table.csv", "table.csv", "table.parquet", "table.xlsx"],
        "study": ["a_aus.csv", "a_aus.csv", "a_aus.parquet"], "names": ["names.csv"],
        "trials": ["trials.csv"], "summary": ["summary.json"],
        "codes": [
            "rows.csv", "events.csv", "project.boris", "packed.boris.gz", "a.eaf", "rows.xlsx", "a.opf", "a.csv",
        ],
    }  # fmt: skip


_OPF: Final = """#4
AU12 (MATRIX,true,)-code01|NOMINAL
00:00:00:500,00:00:01:500,(C)
facs (MATRIX,true,)-au|NOMINAL,intensity|NOMINAL,side|NOMINAL
00:00:02:000,00:00:03:000,(6,B,L)
notes (MATRIX,false,)-code01|NOMINAL
00:00:02:000,00:00:03:000,("he laughs, twice")
"""
_EAF: Final = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-05-01T10:00:00+00:00" FORMAT="3.0" VERSION="3.0">
 <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
  <MEDIA_DESCRIPTOR MEDIA_URL="file:///a.mp4" MIME_TYPE="video/mp4"/></HEADER>
 <TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="900"/></TIME_ORDER>
 <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="AU12"><ANNOTATION>
  <ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
   <ANNOTATION_VALUE>B</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
 <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>
</ANNOTATION_DOCUMENT>
"""


def _summary() -> dict[str, Any]:
    estimate = {"value": 0.5, "low": 0.4, "high": 0.6}
    both = {"mean_of_folds": {"f1": estimate, "auc": estimate}, "pooled": {"f1": estimate, "auc": estimate}}
    data = {
        "name": "bp4d", "alignment": "none", "size_px": 32, "label_kind": "intensity", "positive_from": 2.0, "crops": 9,
        "settings": {"reader": "bp4d"}, "licence": "CC0", "format_version": 2, "role": "train and test",
    }  # fmt: skip
    protocol = {
        "name": "linear", "target": "au", "items": ["AU01"], "folds": "3", "seeds": 1, "repeats": 1, "frames": 9,
        "positive_from": {"bp4d": 2.0}, "feature": "embedding", "weighting": "balanced", "threshold": 0.5, "l2": [0.1],
    }  # fmt: skip
    model = {"kind": "encoder", "seen": {"transductive": False}, **both, "items": {"AU01": both}, "method": "clp"}
    always = {"mean_of_folds": 0.2, "pooled": 0.2, "items": {"AU01": {"mean_of_folds": 0.2, "pooled": 0.2}}}
    return {"protocol": protocol, "data": [data], "models": {"run": model}, "always_positive": always}


def _build_pictures(root: Path) -> dict[str, list[str]]:
    for name in ("png", "picture", "film"):
        (root / name).mkdir()
    image = _picture(3, 48)
    names = [f"a{suffix}" for suffix in (".jpg", ".bmp", ".tif", ".webp", ".jp2", ".ppm")]
    for name in names:
        cv2.imwrite(str(root / "picture" / name), image)
    cv2.imwrite(str(root / "png" / "a.png"), image)
    films = {
        "a.mp4": "libx264", "a.mov": "mjpeg", "a.mkv": "libx264", "a.webm": "libvpx", "a.avi": "mpeg4", "a.flv": "flv",
        "a.wmv": "wmv2", "a.ts": "mpeg2video", "a.gif": "gif", "a.mpg": "mpeg1video", "a.ogv": "libtheora",
    }  # fmt: skip
    made = []
    for name, codec in films.items():
        try:
            _film(root / "film" / name, codec)
            made.append(name)
        except (av.error.FFmpegError, ValueError):  # an encoder that this FFmpeg does not have
            (root / "film" / name).unlink(missing_ok=True)
    return {"png": ["a.png"], "picture": names, "film": made}


def _film(path: Path, codec: str) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(25))
        stream.width, stream.height = 48, 48
        stream.pix_fmt = {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        for number in range(8):
            frame = av.VideoFrame.from_ndarray(_picture(number, 48), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
