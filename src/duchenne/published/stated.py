"""What the five papers state of their training, field by field, what they leave open, and what is ours. No torch.

Recipes name a paper by the longest prefix in `SETUPS`. A field is in `stated` where the paper gives the value or its
authors' code does (then it is in `by_code` too), in `open` where neither does, with the reason for ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from duchenne.published.setup import IN_FORCE, Deviation, Setup, When, in_parts

_KSRL: Final = "Chang & Wang, CVPR 2022"
_EMOCO: Final = "Sun, Zeng & Shan, FG 2021"
_CL_ILE: Final = "Lian et al., BMVC 2023"
_TC: Final = "Lu, Tavabi & Soleymani, BMVC 2020"
_CLP: Final = "Li & Shan, IEEE TIP 2023"

_OTHER_PARTS: Final = "keys are normalised in other parts of the batch than their queries, as MoCo's shuffling does"
_ALL_FRAMES: Final = {"frames": "all"}
_ALL_UTTERANCES: Final = {"fps": None, "per_subject": None}
"""VoxCeleb2 as it is: 25 frames a second of every utterance."""
KSRL: Final = Setup(
    paper=_KSRL,
    alignment="68 landmarks of dlib",
    data=("bp4d_plus",),
    prepared=_ALL_FRAMES,
    stated={
        "backbone": "resnet50", "projection_hidden": 2048, "projection_dim": 128, "predictor_hidden": 1024,
        "temperature": 0.07, "contrast_weight": 0.01, "intra_weight": 0.1, "prediction_weight": 1.0, "crop_min": 1.0,
        "rotation": 0.0, "flip": False, "optimiser": "adam", "lr": 1e-4, "batch_size": 128, "size_px": 224,
        "epoch_of": "frame", "validation_share": 0.3, "validation_by": "subject",
    },
    open={
        "weights": "ours", "epochs": "ours", "schedule": "constant, as only an initial rate is stated",
        "weight_decay": "none is stated", "colour": "as SimSiam", "hue": "as SimSiam",
        "predict_stop_grad": "Eq. 8 prints no stop", "area_boxes": "which landmarks bound the areas is not said",
        "related_areas": "26 arrows are drawn, not listed", "smallest_area_px": "one cell of the map",
    },
    deviations=(
        Deviation("all terms are means over the 16 N embeddings, the paper prints sums; their balance is the same"),
    ),
    in_force={
        **IN_FORCE,
        **dict.fromkeys(("predict_stop_grad", "related_areas"), lambda config: config.prediction_weight > 0),
    },
)  # fmt: skip
EMOCO: Final = Setup(
    paper=_EMOCO,
    alignment="5 points of SeetaFace",
    data=("affectnet",),
    stated={
        "backbone": "resnet50", "embedding_dim": 128, "memory": 65536, "queues": "per_class",
        "normalisation": "intra_class", "emotion_weight": 1.0, "contrast_weight": 1.0, "temperature": 0.2,
        "key_momentum": 0.999, "views": "moco_v1", "mask_unfilled": False, "mask_own_image": False, "optimiser": "sgd",
        "lr": 0.03, "momentum": 0.9, "weight_decay": 1e-4, "schedule": "cosine", "epochs": 200, "batch_size": 256,
        "size_px": 224, "epoch_of": "frame",
    },
    open={
        "weights": "random, as MoCo", "detach_prototypes": "as ANCOR", "balanced": "every picture once an epoch",
    },
    deviations=(
        Deviation(
            "BatchNorm has statistics of its own in each part of a batch, as in MoCo's code; the paper says "
            "synchronized BatchNorm", "sync_batchnorm", True, in_parts,
        ),
        Deviation(
            _OTHER_PARTS, "sync_batchnorm", True, lambda config: config.contrast_weight > 0 and in_parts(config)
        ),
    ),
    in_force={
        **IN_FORCE,
        "detach_prototypes": lambda config: config.contrast_weight > 0 and config.normalisation == "intra_class",
    },
)  # fmt: skip
_LABELLED: Final[dict[str, Any]] = {
    "backbone": "resnet18", "weights": "imagenet", "optimiser": "sgd", "batch_size": 64, "size_px": 224,
    "schedule": "plateau", "crop_min": 224 / 240, "crop_max": 224 / 240, "flip": True, "colour": 0.0,
    "weighting": "selective", "epoch_of": "frame",
}  # fmt: skip
_LABELLED_OPEN: Final = {
    "momentum": "the usual 0.9", "weight_decay": "none is stated", "plateau_patience": "epochs, ours",
    "plateau_factor": "ours", "plateau_smallest": "ours", "validation_share": "on which data F1 is taken is not said",
    "validation_by": "so that nobody of the validation is trained on",
    "absent_weight": "where a batch shows one class of an action unit",
}  # fmt: skip
_SELECTIVE: Final = Deviation(
    "selective learning weighs every frame and action unit; Eq. 2 prints a weight per action unit", "weighting",
    "selective_per_label", lambda config: config.weighting == "selective",
)  # fmt: skip
_LABELLED_IN_FORCE: Final[Mapping[str, When]] = {
    **IN_FORCE, "absent_weight": lambda config: config.weighting.startswith("selective"),
}  # fmt: skip
CL_ILE: Final = Setup(
    paper=_CL_ILE,
    alignment="landmarks of CE-CLM",
    data=("bp4d",),
    stated={
        **_LABELLED, "lr": 1e-5, "epochs": 20, "backbone_lr": 1e-4, "backbone_epochs": 300, "bce_share": 0.4,
        "orthogonality_weight": 0.5, "contrast_weight": 0.4, "temperature": 2.0, "init_from_id": True,
        "literal_sgd": True,
    },
    open={
        **_LABELLED_OPEN, "layers": "ours", "heads": "ours", "hidden": "ours", "dropout": "ours",
        "pooling": "how the tokens become one vector is not said",
    },
    deviations=(
        Deviation(
            "the identity-label loss is the inverse of Eq. 1, which as printed does the opposite of the text and of "
            "Fig. 3", "direction", "as_printed",
            lambda config: config.orthogonality_weight > 0 and config.bce_share < 1,
        ),
        Deviation(
            "eps is added inside the logarithm of Eq. 4, which has no lower bound otherwise",
            when=lambda config: config.orthogonality_weight > 0,
        ),
        Deviation(
            "a frame without an action unit adds 0 to Eq. 5, which divides by zero there",
            when=lambda config: config.contrast_weight > 0,
        ),
        _SELECTIVE,
    ),
    in_force=_LABELLED_IN_FORCE,
)  # fmt: skip
CL_ILE_BACKBONE: Final = replace(
    CL_ILE, stated={**_LABELLED, "lr": 1e-4, "epochs": 300}, open=_LABELLED_OPEN, deviations=(_SELECTIVE,)
)
_SEQUENCES: Final[dict[str, Any]] = {
    "backbone": "resnet18", "weights": "imagenet", "embedding_dim": 256, "interval": 1, "triplets": 10,
    "optimiser": "sgd", "lr": 1e-3, "momentum": 0.9, "weight_decay": 0.0, "schedule": "constant", "size_px": 256,
    "batch_size": 48, "epochs": 50, "epoch_of": "video", "validation_share": 0.2, "validation_by": "video",
    "crop_min": 200 / 224, "crop_max": 223 / 224, "augment_per": "frame", "rotation": 0.0, "colour": 0.0, "flip": False,
}  # fmt: skip
_SEQUENCE_CODE: Final = frozenset({
    "weight_decay", "schedule", "batch_size", "epochs", "epoch_of", "crop_min", "crop_max", "augment_per", "rotation",
    "colour", "flip",
})  # fmt: skip
_SEQUENCE_DEVIATIONS: Final = (
    Deviation("crops come from the whole aligned face; the authors' code first pads it and cuts the centre"),
    Deviation(
        "the size of the crop is drawn for every frame; the authors' code draws it once for the whole training",
        when=lambda config: config.augment_per == "frame",
    ),
    Deviation(
        "each epoch draws another sequence of a video, and all frames pass the network together; the authors' code "
        "keeps one sequence for ever and makes three passes", "official_sampler", True,
    ),
)  # fmt: skip
_SQUARED: Final = Deviation(
    "distances are squared, as in the authors' code; the text says L2 norm", "distance", "euclidean"
)
TC: Final = Setup(
    paper=_TC,
    alignment="as given",
    data=("voxceleb2",),
    prepared=_ALL_UTTERANCES,
    stated={**_SEQUENCES, "margin": 0.03},
    by_code=_SEQUENCE_CODE,
    deviations=(_SQUARED, *_SEQUENCE_DEVIATIONS),
)
TC_TRIPLET: Final = replace(
    TC,
    stated={name: value for name, value in TC.stated.items() if name != "interval"},
    open={"interval": "none is printed with this row"},
    deviations=(
        Deviation("which of the later frames is the negative is not stated: each is equally likely"),
        *TC.deviations,
    ),
)
TC_N_PAIR: Final = replace(
    TC,
    stated={name: value for name, value in _SEQUENCES.items() if name != "interval"},
    open={"interval": "none is printed with this row", "l2_weight": "as Sohn, NeurIPS 2016"},
    deviations=_SEQUENCE_DEVIATIONS,
)


def _has_keys(config: Any) -> bool:
    return bool(config.terms != "tcl")


def _has_ranking(config: Any) -> bool:
    return bool(config.terms != "cir")


CLP: Final = Setup(
    paper=_CLP,
    alignment="SeetaFace",
    data=("voxceleb2",),
    prepared={**_ALL_UTTERANCES, "per_subject": 8},
    stated={
        "backbone": "resnet34", "hidden_dim": 256, "embedding_dim": 128, "terms": "both", "length": 9, "stride": 2,
        "separate_frames": 2, "margin": 0.03, "weighting": "inverse_sqrt", "distance": "euclidean", "beta": 0.1,
        "key_momentum": 0.999, "memory": 65536, "support": 32768, "mask_same": "subject", "rotation": 10.0,
        "flip": True, "lr": 1e-3, "batch_size": 64, "epochs": 200, "size_px": 224, "bn_splits": 4,
    },
    open={
        "weights": "random", "optimiser": "as the first author's TCAE", "momentum": "as MoCo",
        "weight_decay": "as MoCo", "schedule": "none is stated", "temperature": "as CVC",
        "offset": "j as printed, from 2",
        "crop_min": "as temporal ranking", "crop_max": "the whole side", "colour": "strength is not said",
        "augment_per": "so that only time tells frames apart", "key_view": '"pixel-level" can be read either way',
        "mask_negatives": "only the support is said to lack the person",
        "epoch_of": "a video of 180 frames is an utterance",
    },
    deviations=(
        Deviation(
            "the temporal contrast is a mean over the batch; Eq. 1 prints a sum over clips", "tcl_reduction", "sum",
            _has_ranking,
        ),
        Deviation(_OTHER_PARTS, when=lambda config: _has_keys(config) and in_parts(config)),
    ),
    in_force={
        **IN_FORCE, **dict.fromkeys(("offset", "augment_per"), _has_ranking),
        **dict.fromkeys(("temperature", "key_view", "mask_negatives"), _has_keys),
    },
)  # fmt: skip
_VIEWS: Final = {
    "weights": "as the method it is compared with", "optimiser": "the authors'", "momentum": "the authors'",
    "weight_decay": "the authors'", "schedule": "the authors'", "lr": "the authors', scaled to the batch",
    "batch_size": "as many pictures a step as the method it is compared with", "epochs": "as many steps likewise",
}  # fmt: skip
_SIMCLR: Final = {
    **_VIEWS, "optimiser": "as MoCo; the authors' is LARS", "momentum": "as MoCo", "weight_decay": "as MoCo",
    "lr": "as MoCo, scaled to the batch; the authors' is for LARS", "temperature": "the authors'",
}  # fmt: skip
_MOCO: Final = {**_VIEWS, "memory": "the authors'", "temperature": "the authors'", "head": "the authors'"}
_MOCO_V1: Final[dict[str, Any]] = {"views": "moco_v1", "temperature": 0.07, "head": "linear"}
_MOCO_OPEN: Final = {
    **{name: why for name, why in _MOCO.items() if name not in _MOCO_V1},
    "schedule": "as MoCo v2; v1 lowers the rate in two steps",
}
CLP_BASELINE: Final = replace(
    CLP,
    stated={"backbone": "resnet34", "size_px": 224},
    open={**_VIEWS, "views": "its own"},
    deviations=(),
    in_force=IN_FORCE,
)
CLP_MOCO: Final = replace(CLP_BASELINE, stated={**CLP_BASELINE.stated, **_MOCO_V1}, open=_MOCO_OPEN)
CLP_SIMCLR: Final = replace(CLP_BASELINE, open={**_SIMCLR, "views": "its own"})
KSRL_SIMCLR: Final = Setup(
    paper=_KSRL,
    alignment="68 landmarks of dlib",
    data=("bp4d_plus",),
    prepared=_ALL_FRAMES,
    stated={"size_px": 224, "epoch_of": "frame", "validation_share": 0.3, "validation_by": "subject"},
    open={**_SIMCLR, "backbone": "as the method it is compared with", "views": "its own"},
)
KSRL_MOCO: Final = replace(
    KSRL_SIMCLR,
    stated={**KSRL_SIMCLR.stated, **_MOCO_V1},
    open={**_MOCO_OPEN, "backbone": "as the method it is compared with"},
)
EMOCO_MOCO: Final = Setup(
    paper=_EMOCO,
    alignment="5 points of SeetaFace",
    data=("affectnet",),
    stated={"backbone": "resnet50", "views": "moco_v1", "size_px": 224},
    open={**_MOCO, "temperature": "as EmoCo", "head": "as EmoCo", "schedule": "as EmoCo"},
    deviations=(Deviation("on which pictures MoCo was trained is not said: AffectNet is presumed"),),
)
_FLOW: Final = {
    "optimiser": "sgd", "momentum": 0.9, "size_px": 256, "layers": 8, "augment_per": "frame", "curriculum": True,
    "window_share": 0.5, "window_shift": 0.1, "window_until": 0.85, "window_patience": 15, "weights": "none",
}  # fmt: skip
_FLOW_OPEN: Final = {"epochs": "the codes run until they are stopped", "validation_share": "ours"}
_FAB_NET: Final[dict[str, Any]] = {
    **_FLOW, "lr": 1e-4, "batch_size": 128, "crop_min": 170 / 190, "crop_max": 189 / 190, "sources": 1,
}  # fmt: skip
_TWIN_CYCLE: Final[dict[str, Any]] = {
    **_FLOW, "lr": 1e-3, "batch_size": 64, "crop_min": 200 / 224, "crop_max": 223 / 224, "code": "au",
    "reconstruction_weight": 10.0, "feature_weight": 1.0, "cycle_weight": 1.0, "flow_weight": 0.1,
}  # fmt: skip
FAB_NET: Final = Setup(
    paper="Wiles, Koepke & Zisserman, BMVC 2018",
    data=("voxceleb2",),
    stated=_FAB_NET,
    by_code=frozenset(_FAB_NET) - {"sources"},
    prepared={**_ALL_UTTERANCES, "fps": 1.0},
    open=_FLOW_OPEN,
    deviations=(Deviation("they trained on VoxCeleb1 as well, for which there is no reader"),),
)
TWIN_CYCLE: Final = Setup(
    paper="Li, Zeng, Shan & Chen, CVPR 2019",
    data=("voxceleb2",),
    prepared={**_ALL_UTTERANCES, "fps": 1.0},
    stated=_TWIN_CYCLE,
    by_code=frozenset(_TWIN_CYCLE) - {"code"},
    open=_FLOW_OPEN,
    deviations=(Deviation("they trained on VoxCeleb1 as well, for which there is no reader"),),
)  # fmt: skip
_SUPERVISED: Final = {
    **_LABELLED_OPEN, "optimiser": "as CL-ILE", "lr": "as CL-ILE", "epochs": "as CL-ILE", "batch_size": "as CL-ILE",
    "schedule": "as CL-ILE", "crop_min": "as CL-ILE", "flip": "as CL-ILE",
}  # fmt: skip
SETUPS: Final[Mapping[str, Setup]] = {
    "knowledge_driven/": KSRL,
    "emoco/": EMOCO,
    "cl_ile/": CL_ILE,
    "cl_ile/disfa": replace(CL_ILE, data=("disfa",), stated={**CL_ILE.stated, "lr": 5e-5, "epochs": 150}),
    "supervised/cl_ile_": CL_ILE_BACKBONE,
    "supervised/clp_baseline": Setup(
        _CLP, ("bp4d", "disfa", "gft"), {"backbone": "resnet34", "weights": "imagenet", "weighting": "balanced"},
        _SUPERVISED, in_force=_LABELLED_IN_FORCE,
    ),
    "supervised/emoco_baseline": Setup(
        _EMOCO, ("bp4d", "disfa", "gft"), {"backbone": "resnet50"},
        {**_SUPERVISED, "weights": "as CLP's", "weighting": "not said"}, in_force=_LABELLED_IN_FORCE,
    ),
    "temporal_ranking/": TC,
    "triplet/": TC_TRIPLET,
    "n_pair/": TC_N_PAIR,
    "clp/": CLP,
    "fab_net/": FAB_NET,
    "twin_cycle/": TWIN_CYCLE,
    "cvc/": CLP_BASELINE,
    "simclr/voxceleb2": CLP_SIMCLR,
    "simsiam/": CLP_BASELINE,
    "simclr/bp4d_plus": KSRL_SIMCLR,
    "moco/voxceleb2": CLP_MOCO,
    "moco/bp4d_plus": KSRL_MOCO,
    "moco/affectnet": EMOCO_MOCO,
}  # fmt: skip
"""Start of a recipe's name -> the training that it is after."""
ROWS: Final = (
    "clp/ablation_", "clp/length_", "clp/stride_", "cl_ile/a", "emoco/", "knowledge_driven/alpha_",
    "knowledge_driven/lambda_", "temporal_ranking/", "supervised/cl_ile_", "fab_net/",
)  # fmt: skip
"""Recipes that are rows of a table or points of a curve of their paper: what they set is the paper's."""
OURS: Final = ("emoco/affectnet_moco_v2",)
"""Of these, variants that the paper does not have."""
