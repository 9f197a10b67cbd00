"""`detect` against decoding + MediaPipe Face Landmarker (video mode), on the same videos in the same run.

    python benchmarks/speed/detect.py VIDEO... [--frames 300] [--height 360] [--people 1] [--runs 5] [--patience 0]
        [--arms NAME...]

Each video is first written anew, H.264, played forwards and backwards until it has that many frames, so that short
samples make long runs. Models are open before the clock starts; everything else counts: decoding, finding, crops, the
action unit model, rows of the table. A round of all arms is repeated; a ratio is taken within its round. Frame rates
and ratios are medians with the lowest and highest round. With `--patience N` a run during which other programs had over
5 % of the processor is repeated up to N times, and the least disturbed one counts. The action unit model is a ResNet-18
with random weights: speed does not depend on what it has learned.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import mediapipe
import numpy as np
import onnxruntime
import psutil
import torch
from mediapipe.tasks import python as tasks

from duchenne.detection.detector import Detector
from duchenne.detection.job import Job, Outcome, run_job
from duchenne.detection.settings import DetectSettings
from duchenne.detectors.base import AuModel
from duchenne.detectors.calibrating.calibrated import CalibratedHeads
from duchenne.detectors.export import export
from duchenne.detectors.files import LoadedDetector, save_detector
from duchenne.detectors.onnx_model import OnnxModel
from duchenne.detectors.records import AuRecord, DetectorRecord
from duchenne.detectors.trained import TrainedModel
from duchenne.devices import Precision, computes_bf16
from duchenne.faces.align import ALIGNMENT
from duchenne.faces.decode import read_pictures
from duchenne.faces.unconnected import silent_options
from duchenne.features.encoder import Built, EncoderSource
from duchenne.heads.linear import LinearHead
from duchenne.model_files import model_path
from duchenne.modules.encoder import Encoder, EncoderSpec
from measuring import machine, spread

AUS = ("AU01", "AU02", "AU04", "AU05", "AU06", "AU09", "AU12", "AU15", "AU17", "AU20", "AU25", "AU26")
BASE = "decoding + MediaPipe"
WAIT_S = 3
DISTURBED = 0.05  # share of the processor that other programs may have


@dataclass
class Arm:
    """One way through a video: gives (frames, faces with landmarks)."""

    name: str
    run: Callable[[Path], tuple[int, int]]


def longer(video: Path, out: Path, frames: int, height: int | None, rate: float) -> None:
    """The video forwards, backwards, forwards ... as H.264."""
    pictures = list(read_pictures(video))
    with av.open(str(out), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
        h, w = pictures[0].image.shape[:2]
        scale = 1 if height is None else height / h
        stream.width, stream.height = 2 * round(w * scale / 2), 2 * round(h * scale / 2)
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "18"}
        for number in range(frames):
            place = number % max(1, 2 * len(pictures) - 2)
            image = pictures[min(place, 2 * len(pictures) - 2 - place)].image
            image = cv2.resize(image, (stream.width, stream.height), interpolation=cv2.INTER_CUBIC)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def decoding(path: Path) -> tuple[int, int]:
    return sum(1 for _ in read_pictures(path)), 0


def mediapipe_video(people: int) -> Callable[[Path], tuple[int, int]]:
    """The loop of MediaPipe's own example: every decoded frame to a Face Landmarker in video mode."""
    vision = tasks.vision
    options = vision.FaceLandmarkerOptions(
        base_options=silent_options(tasks.BaseOptions(model_asset_path=str(model_path("face_landmarker.task")))),
        running_mode=vision.RunningMode.VIDEO, num_faces=people, output_face_blendshapes=True,
    )  # fmt: skip
    landmarker = vision.FaceLandmarker.create_from_options(options)
    clock = iter(range(0, 10**12, 40))

    def run(path: Path) -> tuple[int, int]:
        frames = faces = 0
        for picture in read_pictures(path):
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture.image)
            faces += len(landmarker.detect_for_video(image, next(clock)).face_landmarks)
            frames += 1
        return frames, faces

    return run


def random_detector(size_px: int, precision: Precision = "float32") -> TrainedModel:
    """A ResNet-18 detector of 12 action units that has learned nothing."""
    torch.manual_seed(0)
    encoder = Encoder(EncoderSpec(backbone="resnet18")).eval().requires_grad_(False)
    source = EncoderSource("random", Built(encoder), size_px, {"kind": "encoder"})
    width, count = encoder.feature_dim, len(AUS)
    draw = np.random.default_rng(0)
    head = LinearHead(
        low=np.full(width, -1e3, np.float32), high=np.full(width, 1e3, np.float32), mean=np.zeros(width, np.float32),
        factor=np.ones(width, np.float32), weight=draw.normal(0, 0.1, (width, count)).astype(np.float32),
        bias=np.zeros(count, np.float32), trained=np.ones(count, bool),
    )  # fmt: skip
    half, one = np.full(count, 0.5), np.ones(count)
    heads = CalibratedHeads(head, 0.01, half, one, 0 * one, half, np.ones(count, bool))
    item = AuRecord(
        prior=0.5, slope=1.0, offset=0.0, threshold=0.5, passed=True, why="", frames=1, present=1, subjects=1,
        showing=1, held_out=None,
    )  # fmt: skip
    record = DetectorRecord(
        model="random", parts=(source.to_spec(),), crop_px=size_px, alignment=ALIGNMENT, l2=0.01,
        aus=dict.fromkeys(AUS, item), left_out={}, validation={}, trained_on=(), encoder_trained_on={}, notes=(),
        duchenne="",
    )  # fmt: skip
    return TrainedModel("random", LoadedDetector(record, heads, source), precision=precision)


def exported(size_px: int, folder: Path) -> OnnxModel:
    """The same as an ONNX file."""
    model = random_detector(size_px)
    save_detector(folder / f"{size_px}", model.record, model.loaded.heads, model.loaded.source, "")
    return OnnxModel(export(model=folder / f"{size_px}", out=folder / f"{size_px}.onnx"))


def detecting(model: AuModel) -> Callable[[Path], tuple[int, int]]:
    detector = Detector(model)

    def run(path: Path) -> tuple[int, int]:
        outcome: Outcome = run_job(Job(path), detector, DetectSettings(), None, lambda rows: None)
        assert outcome.failure is None, outcome.failure
        return outcome.frames, outcome.faces - outcome.unread

    return run


def arms(people: int, folder: Path) -> Iterator[Arm]:
    yield Arm(BASE, mediapipe_video(people))
    yield Arm("decoding", decoding)
    yield Arm("detect, duchenne", detecting("duchenne"))
    yield Arm("detect, blendshapes", detecting("blendshapes"))
    for size_px in (112, 224):
        yield Arm(f"detect, ResNet-18 {size_px} px, float32", detecting(random_detector(size_px)))
        if computes_bf16(torch.device("cpu")):
            yield Arm(f"detect, ResNet-18 {size_px} px, bf16", detecting(random_detector(size_px, "bf16")))
        yield Arm(f"detect, ResNet-18 {size_px} px, ONNX", detecting(exported(size_px, folder)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--height", type=int, help="resize the videos to this height")
    parser.add_argument("--rate", type=float, default=25.0, help="frames per second of the videos that are written")
    parser.add_argument("--people", type=int, default=1, help="faces that MediaPipe is asked for")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--patience", type=int, default=0, help="repeat a run that other programs disturbed, so often")
    parser.add_argument("--arms", nargs="*", help="only arms whose names hold one of these words")
    given = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(
        f"{machine()}, {cores} cores usable, "
        f"MediaPipe {mediapipe.__version__}, OpenCV {cv2.__version__}, ONNX Runtime {onnxruntime.__version__}"
    )
    with tempfile.TemporaryDirectory() as folder:
        chosen = [
            arm for arm in arms(given.people, Path(folder))
            if not given.arms or arm.name == BASE or any(word in arm.name for word in given.arms)
        ]  # fmt: skip
        for video in given.videos:
            path = Path(folder) / "video.mp4"
            longer(video, path, given.frames, given.height, given.rate)
            measure(video.stem, path, chosen, given.runs, given.patience)


def others_share(start: float, busy: float, own: float) -> float:
    """How much of the processor other programs had since `start`, 0 to 1."""
    spent = (busy_s() - busy) - (time.process_time() - own)
    return max(0.0, spent / ((time.perf_counter() - start) * (os.cpu_count() or 1)))


def busy_s() -> float:
    """Seconds that all cores together have worked."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + getattr(times, "irq", 0) + getattr(times, "softirq", 0))


def measure(name: str, path: Path, chosen: list[Arm], runs: int, patience: int) -> None:
    rates: dict[str, list[float]] = {arm.name: [] for arm in chosen}
    spent: dict[str, list[float]] = {arm.name: [] for arm in chosen}
    others: list[float] = []
    counts = {arm.name: arm.run(path) for arm in chosen}  # once without the clock
    for _ in range(runs):
        for arm in chosen:
            tried: list[tuple[float, float, float]] = []
            while not tried or (tried[-1][0] > DISTURBED and len(tried) <= patience):
                start, busy, own = time.perf_counter(), busy_s(), time.process_time()
                frames, _ = arm.run(path)
                rate = frames / (time.perf_counter() - start)
                used = 1000 * (time.process_time() - own) / frames
                tried.append((others_share(start, busy, own), rate, used))
                if tried[-1][0] > DISTURBED and patience:
                    time.sleep(WAIT_S)
            share, rate, used = min(tried)
            others.append(share)
            rates[arm.name].append(rate)
            spent[arm.name].append(used)
    image = next(read_pictures(path)).image
    print(
        f"\n{name}: {counts[BASE][0]} frames of {image.shape[1]} x {image.shape[0]}, {runs} rounds; other programs had "
        f"{100 * statistics.median(others):.0f} % of the processor (up to {100 * max(others):.0f} %)"
    )
    print(f"{'':37} {'frames/s':>24} {'of MediaPipe':>22} {'cpu ms/frame':>13} {'faces/frame':>12}")
    for arm in chosen:
        own = rates[arm.name]
        ratios = [mine / base for mine, base in zip(own, rates[BASE], strict=True)]
        busy = statistics.median(spent[arm.name])
        faces = counts[arm.name][1] / counts[arm.name][0]
        print(f"{arm.name:37} {spread(own, 1):>24} {spread(ratios, 2):>22} {busy:13.1f} {faces:12.2f}", flush=True)


if __name__ == "__main__":
    main()
