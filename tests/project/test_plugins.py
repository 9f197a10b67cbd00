"""Code from outside of the package: installed plug-ins, broken ones, and `package.module:Name`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from tests.training.made import moving_squares

import duchenne
from duchenne.augment.views import ViewRecipe, view_function
from duchenne.cli.learning.pretrain import main as pretrain_main
from duchenne.errors import UsageError
from duchenne.features.resolve import source_of
from duchenne.methods import registry
from duchenne.modules.backbones.build import build_backbone
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.plugins import check_named_code, plugins
from duchenne.preparing.sources.reading import DataSet, Options, Reading, lone
from duchenne.preparing.sources.survey import Survey
from duchenne.preparing.sources.tree import Tree
from duchenne.training.runs import EncoderRecord, initial_encoder, save_encoder
from duchenne.training.watching.figures import draw_figures

ROOT = Path(__file__).parents[2]
OWN = "tests.project.own_method:Brightness"
PLAIN = ViewRecipe(area_min=1.0, jitter=(0, 0, 0, 0), jitter_share=0, grey_share=0, grey_first=False, blur_share=0)


def flip(images: torch.Tensor) -> torch.Tensor:
    return images.flip(3)


def shrink(images: torch.Tensor) -> torch.Tensor:
    return images[:, :, ::2]


def package(site: Path, name: str, code: str | None, **points: str) -> None:
    """An installed package, as pip leaves it."""
    if code is not None:
        (site / f"{name}.py").write_text(code)
    info = site / f"{name}-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
    lines = [f"[duchenne.{kind}]\n{line}\n" for kind, line in points.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, installed by pip into a folder of its own, without network."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(ROOT / "examples" / "plugin", folder / "source")
    words = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(folder / "site")]
    command = [sys.executable, "-m", "pip", "install", *words, str(folder / "source")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder / "site"


_RUN = """
import json
import duchenne
from duchenne.cli.main import main
from duchenne.testing import check_method

assert main(["prepare", "smiles", "--root", "pictures", "--out", "prepared", "--alignment", "none"]) == 0
common = ["--data", "prepared", "--size-px", "32", "--max-steps", "2", "--batch-size", "2", "--quiet"]
ours = ["pretrain", "next_frame", *common, "--backbone", "tiny", "--out", "run"]
assert main(ours) == 0
assert main([*ours, "--max-steps", "3", "--resume"]) == 0
assert main(["pretrain", "simclr", *common, "--backbone", "tiny", "--views", "mirrored", "--out", "views"]) == 0
check_method("next_frame")
found = {
    "plug_ins": duchenne.info()["plug_ins"],
    "width": duchenne.load_encoder("run").encoder.feature_dim,
    "initial": duchenne.embed("initial:run", data="prepared", quiet=True).shape[0],
}
print(json.dumps(found))
"""


@pytest.mark.slow
def test_the_example_is_installed_and_run(installed: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    codes = []
    for person in ("anna", "ben"):
        (tmp_path / "pictures" / person).mkdir(parents=True)
        for frame in range(4):
            picture = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / "pictures" / person / f"{frame:04}.png"), picture)
            codes.append(f"{person},{frame},{'' if frame == 3 else frame % 2}")
    (tmp_path / "pictures" / "smiles.csv").write_text("\n".join(codes))
    path = os.pathsep.join([str(ROOT / "src"), str(installed)])
    done = subprocess.run(
        [sys.executable, "-c", _RUN], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True,
        text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["plug_ins"] == {
        "methods: next_frame": "duchenne_example.method:NextFrame of duchenne-example 1.0",
        "backbones: tiny": "duchenne_example.backbone:build of duchenne-example 1.0",
        "datasets: smiles": "duchenne_example.data_set:SMILES of duchenne-example 1.0",
        "augmentations: mirrored": "duchenne_example.augmentation:mirrored of duchenne-example 1.0",
    }
    assert (found["width"], found["initial"]) == (32, 8)
    frames = pd.read_parquet(tmp_path / "prepared" / "frames.parquet").sort_values(["clip", "frame"])
    assert frames["AU12"].isna().tolist() == [False, False, False, True] * 2, "what is not coded is not absent"
    assert frames["AU12"].dropna().tolist() == [0, 1, 0] * 2
    assert frames["subject"].tolist() == ["anna"] * 4 + ["ben"] * 4


def test_a_broken_plug_in_is_one_sentence(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package(site, "broken_one", "raise RuntimeError('no licence\\nfound')", methods="lame = broken_one:Method")
    package(site, "absent_one", None, backbones="gone = absent_one:build", datasets="gone = absent_one:DATA")
    package(site, "fine_one", "def draw(x):\n    return x\n", augmentations="plain = fine_one:draw\nWrong = fine_one:x")
    package(site, "odd_one", "clp = dict", methods="clp = odd_one:clp\nodd = odd_one:clp")
    said = duchenne.info()["plug_ins"]
    assert said == {
        "methods: clp": "odd_one:clp of odd_one 2.0; not used: the name is duchenne's own",
        "methods: lame": "broken: `lame` of duchenne.methods: broken_one:Method cannot be imported (RuntimeError: "
        "no licence found); mend or uninstall the package broken_one 2.0.",
        "methods: odd": "broken: method odd: has no `Config`, which every method needs; derive it from "
            "duchenne.Method.",
        "backbones: gone": "broken: `gone` of duchenne.backbones: absent_one:build cannot be imported ("
        "ModuleNotFoundError: No module named 'absent_one'); mend or uninstall the package absent_one 2.0.",
        "datasets: gone": "broken: `gone` of duchenne.datasets: absent_one:DATA cannot be imported ("
        "ModuleNotFoundError: No module named 'absent_one'); mend or uninstall the package absent_one 2.0.",
        "augmentations: Wrong": "fine_one:x of fine_one 2.0; not used: a name has lower-case letters, digits and "
        "underscores",
        "augmentations: plain": "fine_one:draw of fine_one 2.0",
    }  # fmt: skip
    assert registry.method_class("clp").__module__ == "duchenne.methods.clp.method"
    assert pretrain_main(["--help"]) == 0
    assert "lame" in capsys.readouterr().out
    with pytest.raises(UsageError, match=r"`lame` of duchenne\.methods: broken_one:Method cannot be imported"):
        registry.method_class("lame")
    with pytest.raises(UsageError, match=r"`gone` of duchenne\.backbones"):
        build_backbone("gone")
    with pytest.raises(UsageError, match=r"`gone` of duchenne\.datasets"):
        duchenne.prepare("gone", root=site, out=site / "out")
    with pytest.raises(UsageError, match="did you mean `lame`"):
        registry.method_class("lam")


def test_info_says_which_backbones_lack_a_file_or_have_a_name_of_ours(site: Path) -> None:
    code = "import duchenne\ndef build():\n    return duchenne.load_encoder('lost_run')\n"
    package(site, "lossy_one", code, backbones="lossy = lossy_one:build\nstrided6 = lossy_one:build")
    said = duchenne.info()["plug_ins"]
    assert said["backbones: lossy"].startswith("broken: lost_run")
    assert said["backbones: strided6"] == "lossy_one:build of lossy_one 2.0; not used: the name is duchenne's own"


def test_code_is_allowed_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run can need two, and setting what each error says must end somewhere, with a space after a comma or not."""
    stored = {"method": "mine.one:Method", "backbone": "mine.two:net", "views": "mine.three:warm"}
    monkeypatch.setenv("DUCHENNE_BUILDERS", "")
    for number, held in enumerate(("", "mine.one:Method", "mine.one:Method,mine.two:net")):
        said = ",".join(filter(None, (held, list(stored.values())[number])))
        with pytest.raises(UsageError, match=rf"set DUCHENNE_BUILDERS={said} and run again\.$"):
            check_named_code(stored, "config.yaml")
        monkeypatch.setenv("DUCHENNE_BUILDERS", said.replace(",", ", "))
    check_named_code(stored, "config.yaml")


def test_nothing_is_imported_before_it_is_named(site: Path) -> None:
    package(site, "sleeper", "raise SystemError('woken')", methods="sleeping = sleeper:Method")
    assert [point.value for point in plugins("methods")["sleeping"]] == ["sleeper:Method"]
    assert registry.method_class("simclr")
    assert "sleeper" not in sys.modules
    with pytest.raises(UsageError, match="SystemError: woken"):
        registry.method_class("sleeping")


def test_two_packages_of_one_name_are_not_guessed_between(site: Path) -> None:
    package(site, "first_one", "def build():\n    pass\n", backbones="same = first_one:build")
    package(site, "second_one", "def build():\n    pass\n", backbones="same = second_one:build")
    with pytest.raises(UsageError, match=r"offered by first_one 2.0 and second_one 2.0; uninstall one"):
        build_backbone("same")


@pytest.mark.slow
def test_code_that_the_user_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's word starts code; the run that holds the name does so only where the user allows it."""
    monkeypatch.delenv("DUCHENNE_BUILDERS", raising=False)
    moving_squares(tmp_path / "squares", clips=6, frames=8)
    words = [OWN, "--data", str(tmp_path / "squares"), "--out", str(tmp_path / "run"), "--size-px", "32", "--quiet"]
    assert pretrain_main([*words, "--max-steps", "2", "--target", "0.25"]) == 0
    assert f"method: {OWN}\n" in (tmp_path / "run" / "config.yaml").read_text()
    assert duchenne.load_encoder(tmp_path / "run").record.method == OWN, "the encoder needs no code"
    with pytest.raises(UsageError, match=rf"config.yaml: needs the code {OWN}.*DUCHENNE_BUILDERS={OWN}"):
        source_of(f"initial:{tmp_path / 'run'}")
    with pytest.raises(UsageError, match=rf"config.yaml: needs the code {OWN}"):
        draw_figures(tmp_path / "run", tmp_path / "squares")
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(f"method: {OWN}\ntarget: 0.75\nmax_steps: 1\n")
    words[4] = str(tmp_path / "again")
    assert pretrain_main([*words, "--recipe", str(recipe)]) == 0
    assert "target: 0.75" in (tmp_path / "again" / "config.yaml").read_text()
    with pytest.raises(UsageError, match="needs the code"):
        pretrain_main(["simclr", *words[1:], "--recipe", str(recipe)])
    monkeypatch.setenv("DUCHENNE_BUILDERS", f"other.module:x,{OWN}")
    assert source_of(f"initial:{tmp_path / 'run'}").name.startswith("initial:")
    with pytest.raises(UsageError, match=r"method tests\.project\.own_method:Absent: cannot be imported"):
        pretrain_main(["tests.project.own_method:Absent", *words[1:]])


@pytest.mark.parametrize("key", ["method", "backbone", "views"])
def test_a_run_of_somebody_elses_starts_no_code(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by its figures nor by its first weights: what the file names is not even imported."""
    monkeypatch.delenv("DUCHENNE_BUILDERS", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("strangers.py").write_text("from pathlib import Path\nPath('started').touch()\n")
    encoder, run = Encoder(EncoderSpec(backbone="compact")), Path("run")
    run.mkdir()
    written = {"size_px": 64, "alignment": "", "weights": "none", "steps": 1, "duchenne": "0"}
    save_encoder(run, encoder, EncoderRecord(method="simclr", spec=encoder.spec, **written))
    Path("run/config.yaml").write_text(json.dumps({"method": "simclr", key: "strangers:net"}))
    for started in (lambda: draw_figures("run", "data"), lambda: initial_encoder("run")):
        with pytest.raises(UsageError, match=r"config.yaml: needs the code strangers:net"):
            started()
    assert not Path("started").exists()


def test_augmentations_of_ones_own() -> None:
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(view_function(f"{__name__}:flip")(images), images.flip(3))
    torch.manual_seed(0)
    views = view_function(f"{__name__}:PLAIN")(images)
    assert all(min((v - i).abs().max(), (v - i.flip(2)).abs().max()) < 1e-5 for v, i in zip(views, images, strict=True))
    with pytest.raises(UsageError, match=r"shrink: gives \(2, 3, 4, 8\).* of \(2, 3, 8, 8\)"):
        view_function(f"{__name__}:shrink")(images)
    with pytest.raises(UsageError, match="did you mean `moco_v2`"):
        view_function("moco_v3")
    with pytest.raises(UsageError, match="ROOT: is neither"):
        view_function(f"{__name__}:ROOT")
    with pytest.raises(UsageError, match=r"c.yaml: needs the code .*:flip"):
        check_named_code({"method": "simclr", "views": f"{__name__}:flip"}, "c.yaml")


def test_a_data_set_that_is_none() -> None:
    with pytest.raises(UsageError, match=r"data set .*:ROOT: is a PosixPath, not a DataSet"):
        duchenne.prepare(f"{__name__}:ROOT", root=ROOT, out=ROOT / "out")
    with pytest.raises(UsageError, match=r"no data set `bp5d`; the known ones are videos, table, bp4d"):
        duchenne.prepare("bp5d", root=ROOT, out=ROOT / "out")


def reader(values: dict[str, object], **stated: Any) -> DataSet:
    """A data set of one picture with labels."""

    def read(tree: Tree, options: Options) -> Reading:
        return Reading(Survey(), images=[lone(tree, "a.png", values)], **stated)

    return DataSet(name="own", title="Own", about="a picture", read=read, layout=("a.png",), licence="none")


@pytest.mark.parametrize(
    ("data_set", "said"),
    [
        (reader({"AU12": 1}), "gives labels of AU12, which is not in `Reading.aus`; add it there"),
        (reader({"AU12": 1, "AU04": None}, aus=(12,), label_kind="occurrence"), "gives labels of AU04"),
        (reader({"AU12_i": 3.0}), "gives labels of AU12"),
        (reader({"AU12_i": 3.0}, aus=(12,), label_kind="occurrence"), "gives AU12_i, but its `label_kind` is not int"),
        (reader({"AU12": 1}, aus=(12,)), "has `aus` and no `label_kind`; say occurrence or intensity"),
    ],
)
def test_labels_without_a_column_are_not_left_out_in_silence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data_set: DataSet, said: str
) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    monkeypatch.setattr(sys.modules[__name__], "CODED", data_set, raising=False)
    with pytest.raises(UsageError, match=f"^data set {__name__}:CODED: .*{said}"):
        duchenne.prepare(f"{__name__}:CODED", root=tmp_path, check=True)
    whole = reader({"AU12": 1, "emotion": "fear"}, aus=(12,), label_kind="occurrence")
    monkeypatch.setattr(sys.modules[__name__], "CODED", whole)
    assert duchenne.prepare(f"{__name__}:CODED", root=tmp_path, check=True).survey is not None
