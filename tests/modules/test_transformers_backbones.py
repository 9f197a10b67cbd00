"""Networks of transformers from records and folders that anybody may have written: what they may ask for, and how large
they may be."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.modules.made_transformers import CONVNEXT, VIT, from_detector, network, recorded, saved, spec_of, tensors_of
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from duchenne.errors import InputError
from duchenne.modules import bounded
from duchenne.modules.backbones.build import build_backbone
from duchenne.modules.backbones.transformers import TransformersBackbone
from duchenne.modules.backbones.transformers_guard import checked, sealed
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.plugins import RefusedError
from duchenne.training.runs import load_encoder

transformers: Any = pytest.importorskip("transformers")
hub: Any = pytest.importorskip("huggingface_hub")
safetensors: Any = pytest.importorskip("safetensors.torch")

EVIL = {"use_timm_backbone": False, "backbone": "evil/resnet-50", "use_pretrained_backbone": True}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "detr": ({"model_type": "detr", **EVIL}, "use_timm_backbone: False"),
    "dpt": ({"model_type": "dpt", "is_hybrid": False, "backbone": "evil/resnet-50"}, "backbone: 'evil/resnet-50'"),
    "maskformer": ({"model_type": "maskformer", "backbone": "evil/swin"}, "backbone: 'evil/swin'"),
    "depth_anything": ({"model_type": "depth_anything", "backbone": "evil/vit"}, "backbone: 'evil/vit'"),
    "default": ({"model_type": "detr", "use_timm_backbone": False}, "use_timm_backbone: False"),
    "options": ({"model_type": "detr", "backbone_kwargs": {"a": 1}}, "backbone_kwargs"),
    "nested": ({"model_type": "detr", "backbone_config": {"model_type": "resnet"}}, "backbone_config"),
    "deep": ({"model_type": "clip", "vision_config": {"backbone": "evil/x"}}, "vision_config.backbone: 'evil/x'"),
    "timm": ({"model_type": "timm_wrapper", "architecture": "hf-hub:evil/x"}, "model_type: 'timm_wrapper'"),
    "kernel": ({**VIT, "attn_implementation": "evil/kernel"}, "attn_implementation: 'evil/kernel'"),
    "mapping": ({**VIT, "attn_implementation": {"": "evil/kernel"}}, "attn_implementation"),
    "deep kernel": ({"model_type": "clip", "vision_config": {"attn_implementation": "e/k"}}, "'e/k'"),
    "other name": ({**VIT, "attribute_map": {"x": "_attn_implementation_internal"}, "x": "e/k"}, "attribute_map"),
    "quantised": ({**VIT, "quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
    "other file": ({**VIT, "transformers_weights": "adapter_model.bin"}, "transformers_weights"),
    "huge": ({**VIT, "num_hidden_layers": 10**9}, "num_hidden_layers: 1000000000"),
    "huge in a list": ({**CONVNEXT, "depths": [1, 10**9, 1, 1]}, "depths: 1000000000"),
}
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "text": ({**VIT, "hidden_size": "x"}, "hidden_size"),
    "no heads": ({**VIT, "num_attention_heads": 0}, "ZeroDivisionError"),
    "no patch": ({**VIT, "patch_size": 0}, "ZeroDivisionError"),
    "no type": ({"hidden_size": 8}, "names no `model_type`"),
    "no such type": ({"model_type": "nothing"}, "nothing"),
}


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whatever is tried to be reached over the network; such calls fail."""
    tried: list[str] = []

    def refuse(*args: Any, **_: Any) -> Any:
        tried.append(repr(args[-1:]))
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    return tried


def check_refused(
    run: Path, written: tuple[dict[str, Any], dict[str, Tensor]], said: str, record: str, detector: str
) -> None:
    """A spec and its tensors are refused as a run and as a detector, in sentences like these, for what is said."""
    with pytest.raises(InputError, match=record) as caught:
        load_encoder(recorded(run, *written))
    assert said in str(caught.value.__cause__)
    with pytest.raises(InputError, match=detector) as caught:
        from_detector(*written)
    assert said in str(caught.value)


@pytest.mark.parametrize("case", REFUSED)
def test_a_configuration_that_names_what_lies_elsewhere_is_refused(
    case: str, tmp_path: Path, reached: list[str]
) -> None:
    values, said = REFUSED[case]
    record, detector = (
        r"encoder\.safetensors: does not fit",
        r"d/detector\.json: describes an encoder that cannot be built",
    )
    check_refused(tmp_path / "run", (spec_of(values), {"mean": torch.zeros(1)}), said, record, detector)
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match="cannot be built") as caught:
        build_backbone(f"transformers:{tmp_path}")
    assert said in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert not reached


@pytest.mark.slow
def test_no_server_hears_of_what_records_name(tmp_path: Path) -> None:
    """In a process of its own, whose hub is a server here; its library reads the address when it is imported."""
    heard: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    connection, address = server.accept()
                except OSError:
                    return
                heard.append(address)
                connection.close()

        threading.Thread(target=listen, daemon=True).start()
        runs = [
            str(recorded(tmp_path / case, spec_of(values), {"mean": torch.zeros(1)}))
            for case, (values, _) in REFUSED.items()
        ]
        code = (
            "import sys; from duchenne import load_encoder; from duchenne.errors import InputError\n"
            "for run in sys.argv[1:]:\n"
            "    try: load_encoder(run); print('loaded', run)\n"
            "    except InputError: pass\n"
        )
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0"}
        done = subprocess.run(
            [sys.executable, "-c", code, *runs],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert not heard


def test_what_is_not_refused_by_name_still_finds_no_network(reached: list[str]) -> None:
    from huggingface_hub.errors import OfflineModeIsEnabled

    bars = transformers.logging.is_progress_bar_enabled()
    with sealed():
        assert not transformers.logging.is_progress_bar_enabled()
        with pytest.raises(OfflineModeIsEnabled):
            hub.HfApi().repo_exists("evil/resnet-50")
        with pytest.raises(OSError, match="couldn't connect"):
            transformers.AutoConfig.from_pretrained("evil/resnet-50")
    assert not reached
    assert hub.constants.HF_HUB_OFFLINE is False  # as it was
    assert transformers.logging.is_progress_bar_enabled() is bars
    with pytest.raises(KeyError), sealed():
        raise KeyError
    assert hub.constants.HF_HUB_OFFLINE is False
    assert transformers.logging.is_progress_bar_enabled() is bars


def test_code_beside_a_model_is_never_run(tmp_path: Path) -> None:
    folder, mark = saved(tmp_path / "vit", VIT), tmp_path / "was_run"
    (folder / "own.py").write_text(f"open({str(mark)!r}, 'w')\n")
    values = json.loads((folder / "config.json").read_text())
    own = {"auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (folder / "config.json").write_text(json.dumps({**values, **own}))
    backbone = build_backbone(f"transformers:{folder}")
    assert type(backbone.network).__name__ == "ViTModel"
    assert "auto_map" not in str(backbone.config)
    load_encoder(recorded(tmp_path / "run", spec_of({**VIT, **own}), tensors_of(VIT)))
    (folder / "config.json").write_text(json.dumps({**values, **own, "model_type": "own"}))
    with pytest.raises(InputError, match="cannot be built"):
        build_backbone(f"transformers:{folder}")
    assert not mark.exists()


def test_what_is_checked_is_what_transformers_itself_writes() -> None:
    """Fields that have no bearing are left out, the others are kept, and so is attention of torch's own."""
    written = transformers.AutoConfig.for_model(**VIT, attn_implementation="eager").to_dict()
    kept = checked({**written, "attn_implementation": "sdpa", "backbone": None, "__dict__": {}, "_any": 1})
    assert {key: kept[key] for key in VIT} == VIT
    assert kept["attn_implementation"] == "sdpa"
    left = ("id2label", "label2id", "dtype", "backbone", "_name_or_path", "__dict__", "_any", "transformers_version")
    assert not set(left) & set(kept)
    notes = {"_attn_implementation_autoset": True, "_attn_implementation_internal": "flash_attention_2"}
    none_inside = {"backbone": None, "use_timm_backbone": False, "use_pretrained_backbone": False}
    assert checked({**VIT, **notes, **none_inside}) == VIT  # as earlier versions wrote them
    with pytest.raises(RefusedError, match="must be a mapping, not 7"):
        checked(7)


class Largest(TorchDispatchMode):
    """The most numbers of a tensor that takes memory."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and not out.is_meta:
            self.numbers = max(self.numbers, out.numel())
        return out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hidden_size": 4096, "intermediate_size": 4096}, r"cls_token is \[1, 1, 8\], not \[1, 1, 4096\]"),
        ({"num_hidden_layers": 3}, "is not there, not"),
        ({"image_size": 2**14}, r"position_embeddings is \[1, 17, 8\], not \[1, 1048577, 8\]"),
        ({"num_hidden_layers": 10**6}, r"no network has more than 1000, .*num_hidden_layers: 1000000"),
    ],
)
def test_nothing_larger_than_the_weights_is_allocated(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    spec, tensors = spec_of({**VIT, **change}), tensors_of(VIT)
    run = recorded(tmp_path / "run", spec, tensors)
    for load in (lambda: load_encoder(run), lambda: from_detector(spec, tensors)):
        with Largest() as seen, pytest.raises(InputError, match=said):
            load()
        assert seen.numbers <= 3 * 16 * 16 * 8  # the kernel of the patches, the largest in the file


def test_what_takes_memory_is_looked_at_without_gradients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few weights can have many cells, whose attention a gradient would keep for every layer."""
    looked, outputs = [], TransformersBackbone._outputs

    def noted(self: Any, network: Any, x: Tensor) -> list[Tensor]:
        looked.append((x.is_meta, torch.is_grad_enabled()))
        return outputs(self, network, x)

    monkeypatch.setattr(TransformersBackbone, "_outputs", noted)
    with torch.enable_grad():
        load_encoder(recorded(tmp_path / "run", spec_of(VIT), tensors_of(VIT)))
    assert (True, True) in looked
    assert (False, False) in looked
    assert (False, True) not in looked


def test_a_network_that_grows_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "_MOST_CALLS", 500)
    spec, tensors = spec_of({**VIT, "num_hidden_layers": 999}), {"mean": torch.zeros(1)}
    for load in (lambda: load_encoder(recorded(tmp_path / "run", spec, tensors)), lambda: from_detector(spec, tensors)):
        with pytest.raises(InputError, match="more layers than any that is known"):
            load()
    monkeypatch.setattr(bounded, "_MOST_NUMBERS", 100)
    with pytest.raises(InputError, match=r"needs a tensor \(.*\), larger than any that is known"):
        from_detector(spec_of(VIT), tensors)


def test_a_network_with_large_tables_beside_its_weights_is_refused(tmp_path: Path) -> None:
    """Swin keeps for every layer which of its (2w-1)^2 weights is meant by two of its w^2 cells: w^4 numbers."""
    values = {
        "model_type": "swin", "embed_dim": 4, "depths": [2], "num_heads": [1], "window_size": 60, "image_size": 240,
    }  # fmt: skip
    with torch.device("meta"):
        shapes = Encoder(EncoderSpec(**spec_of(values))).state_dict()
    held = {key: torch.zeros(value.shape) for key, value in shapes.items()}
    run = recorded(tmp_path / "run", spec_of(values), held)
    with Largest() as seen, pytest.raises(InputError, match=r"its network holds 2592\d{4} numbers beside the"):
        load_encoder(run)
    assert seen.numbers < 10**6


def test_a_folder_whose_weights_are_few_for_its_configuration_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "vit", VIT)
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds an adapter \(adapter_config.json\), not a network"):
        build_backbone(f"transformers:{folder}")
    (folder / "adapter_config.json").unlink()
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "hidden_size": 1024, "intermediate_size": 4096}))
    with Largest() as seen, pytest.raises(InputError, match=r"describes \d+ numbers, its weights have \d+ bytes"):
        build_backbone(f"transformers:{folder}")
    assert seen.numbers < 10**6


@pytest.mark.parametrize("case", BROKEN)
def test_a_configuration_that_cannot_be_built_is_one_sentence(case: str, tmp_path: Path) -> None:
    values, said = BROKEN[case]
    record, detector = r"run/encoder\.safetensors: does not fit .*cannot be built", r"^d/detector\.json: "
    check_refused(tmp_path / "run", (spec_of(values), tensors_of(VIT)), said, record, detector)
    folder = saved(tmp_path / "vit", VIT)
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"vit: the folder's network cannot be built .*; mend its files") as caught:
        build_backbone(f"transformers:{folder}")
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1]", '{"model_type"'])
def test_a_configuration_that_is_no_json_is_one_sentence(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not fit its encoder\.json"):
        load_encoder(recorded(tmp_path / "run", spec_of(text), tensors_of(VIT)))
    with pytest.raises(InputError, match="cannot be built"):
        from_detector(spec_of(text), {})
    folder = saved(tmp_path / "vit", VIT)
    (folder / "config.json").write_text(text)
    with pytest.raises(InputError, match=str(folder)):
        build_backbone(f"transformers:{folder}")


@pytest.mark.parametrize("kept", [0, 7, 300, -40])
def test_damaged_weights_of_a_folder_are_one_sentence(kept: int, tmp_path: Path) -> None:
    file = saved(tmp_path / "vit", VIT) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(
        InputError, match=rf"transformers:{tmp_path / 'vit'}: .*; mend its files or fetch them again\.$"
    ):
        build_backbone(f"transformers:{tmp_path / 'vit'}")


def test_weights_are_loaded_without_a_progress_bar(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = saved(tmp_path / "vit", VIT)
    transformers.logging.enable_progress_bar()
    capfd.readouterr()
    build_backbone(f"transformers:{folder}")
    assert capfd.readouterr() == ("", "")
    transformers.AutoModel.from_pretrained(folder)  # as it was set before
    assert "Loading weights" in capfd.readouterr().err


def test_weights_in_half_precision_are_taken_as_single(tmp_path: Path) -> None:
    network(VIT).half().save_pretrained(tmp_path / "vit")
    assert json.loads((tmp_path / "vit" / "config.json").read_text())["dtype"] == "float16"
    backbone = build_backbone(f"transformers:{tmp_path / 'vit'}").eval()
    assert backbone(torch.rand(1, 3, 64, 64)).dtype == torch.float32
