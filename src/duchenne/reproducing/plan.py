"""From a table to commands: faces, trainings, evaluations and the comparison, in this order. No torch."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from duchenne.config import load_mapping
from duchenne.errors import UsageError
from duchenne.keywords import flag
from duchenne.published import Row
from duchenne.published.settings import prepared_otherwise, setup_of
from duchenne.published.setup import Setup
from duchenne.reproducing.options import Options
from duchenne.reproducing.tables import EMOTIONS, READERS, Entry, Table
from duchenne.training.config import method_run_config
from duchenne.training.recipes import load_recipe, recipe_names

PARTITIONS: Final = {"BP4D": "bp4d:jaa", "DISFA": "disfa:jaa"}
"""Data sets whose three parts the papers test in turn; the others have a split of their own."""
OURS: Final[dict[str, str]] = {"frozen": "linear", "supervised": "finetune"}
"""Protocol of a row -> ours, where the name differs."""
SETTLED: Final[dict[tuple[str, str], tuple[tuple[str, ...], ...]]] = {
    **dict.fromkeys([("KSRL", "frozen"), ("KSRL", "linear")], (("--weighting", "none"),)),
    **dict.fromkeys(
        [("KSRL", "areas"), ("KSRL", "areas+finetune")], (("--weighting", "none"), ("--weighting", "balanced"))
    ),
    ("EmoCo", "finetune"): (("--epochs", "5"),),
}
"""Paper and protocol of a row -> options of its evaluations, where they are not the protocol's own. KSRL states no
weighting; all of a table have one, and its areas stand in the comparison with the other as well."""
MINIATURE: Final = "synthetic"
_TINY: Final = ("--subjects", "6", "--clips", "2", "--frames", "48", "--size", "48", "--style", "natural")
_QUICK: Final = {
    "linear": ("--maps", "none", "--l2", "1.0"), "linear+bn": ("--maps", "none",),
    "finetune": ("--epochs", "1", "--batch-size", "32"),
}  # fmt: skip

Kind = Literal["faces", "training", "evaluation", "comparison"]


@dataclass(frozen=True)
class Data:
    """Prepared folders at hand.

    Attributes:
        folders: folder -> its reader, and the settings that made it.
        roots: reader -> folder of the raw data, for readers of which there is no prepared folder.
    """

    folders: Mapping[Path, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    roots: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        kind: what it does.
        words: after `duchenne`.
        out: folder that it writes.
        entries: rows of the table that its evaluation is of, each with the name of its model there.
    """

    kind: Kind
    words: tuple[str, ...]
    out: Path
    entries: tuple[tuple[Entry, str], ...] = ()

    def __str__(self) -> str:
        """As it is written in a shell."""
        return shlex.join(["duchenne", *self.words])


def plan(table: Table, data: Data, out: Path, options: Options) -> list[Step]:
    """Every command that a table needs.

    Trainings and faces lie in `out` by their recipe and data set, where other tables find them again.

    Args:
        table: which one.
        data: what is at hand.
        out: folder for everything.
        options: what else is asked.

    Raises:
        UsageError: when data are missing, in one sentence that says how each is prepared, or for several processes
            where no command takes them.
    """
    if options.devices > 1 and all(entry.supervised for entry in table.made):
        raise UsageError(
            f"--devices {options.devices}: {table.name} is trained within the folds of its evaluations, in one process "
            "each; leave --devices out."
        )
    needed: dict[tuple[str, tuple[tuple[str, Any], ...]], Path] = {}
    faces: dict[Path, Step] = {}

    def folders(reader: str, prepared: Mapping[str, Any]) -> list[str]:
        """The prepared folders of a reader, those that are most like what is wanted."""
        own = {path: settings for path, (name, settings) in data.folders.items() if name == reader}
        if options.miniature:
            made = out / MINIATURE / reader
            faces[made] = _synthetic(made, reader)
            return [str(made)]
        if own:
            return [str(path) for path in _nearest(own, prepared)]
        chosen = {name: value for name, value in prepared.items() if value is not None}
        made = out / "data" / "_".join([reader, *(f"{name}_{value}" for name, value in chosen.items())])
        if not (made / "dataset.yaml").exists():
            needed[reader, tuple(chosen.items())] = made
        return [str(made)]

    trainings: dict[str, Step] = {}
    evaluations: list[Step] = []
    for (dataset, protocol), entries in _grouped(table).items():
        for recipe in dict.fromkeys(recipe for entry in entries for recipe in entry.recipes):
            if protocol != "supervised" and recipe not in trainings:
                setup = setup_of(recipe) or Setup("")
                own = [folder for reader in setup.data for folder in folders(reader, setup.prepared)]
                trainings[recipe] = _training(recipe, own, out, options)
        tested = folders(READERS[dataset], _tested(entries[0].row))
        evaluations += [
            _evaluation(table, dataset, protocol, entries, tested, out, options, settled)
            for settled in SETTLED.get((entries[0].row.paper, protocol), ((),))
        ]
    missing = []
    for (reader, prepared), path in needed.items():
        words = [f"{flag(name)}={value}" for name, value in prepared]
        root = data.roots.get(reader)
        step = Step(
            "faces", ("prepare", reader, "--root", str(root or reader.upper()), "--out", str(path), *words), path
        )
        faces[path] = step
        if root is None:
            missing.append(str(step))
    steps = [*faces.values(), *trainings.values(), *evaluations, *_comparisons(table, evaluations, out)]
    if missing:
        raise MissingDataError(table.name, missing, steps)
    return steps


class MissingDataError(UsageError):
    """Data that a table needs are not at hand.

    Attributes:
        steps: the whole plan, with capitals in place of the folders that are not known.
    """

    def __init__(self, name: str, missing: Sequence[str], steps: Sequence[Step]) -> None:
        super().__init__(
            f"{name}: needs data that neither --data nor --root names; prepare your own copies and name them with "
            f"--data: `{'`, `'.join(missing)}`."
        )
        self.steps = list(steps)


def write_recipes(table: Table, out: Path, options: Options) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The recipes that the commands name by a file: what the paper's say, but for the length that was asked for.

    In miniature, all that makes a training small is from `smoke/METHOD`.

    Yields:
        File to write, and what it holds.
    """
    for recipe, in_folds in dict.fromkeys((name, entry.supervised) for entry in table.made for name in entry.recipes):
        method, file = _method(recipe), _file(recipe, out, options, in_folds=in_folds)
        if file is None:
            continue
        values = load_recipe(recipe, method)
        if options.miniature:
            values |= load_recipe(f"smoke/{method}", method)
        if in_folds and options.max_steps:
            fields = {field.name for field in dataclasses.fields(method_run_config(method))}
            values |= dict.fromkeys(fields & {"max_steps", "backbone_steps"}, options.max_steps)
        yield file, {"method": method, **values}


def _grouped(table: Table) -> dict[tuple[str, str], list[Entry]]:
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in table.made:
        groups.setdefault((entry.row.dataset, entry.row.protocol), []).append(entry)
    return groups


def _tested(row: Row) -> dict[str, Any]:
    """Option of `duchenne prepare` -> value, by which the data come about that a row is tested on."""
    emotions = EMOTIONS[row.dataset].get(row.paper) if row.dataset in EMOTIONS else None
    return {"emotions": emotions} if emotions else {}


def _nearest(own: Mapping[Path, Mapping[str, Any]], prepared: Mapping[str, Any]) -> list[Path]:
    """The folder that was prepared most nearly as the paper did it, and other parts of the data, prepared likewise.

    Args:
        own: folder -> the settings that made it.
        prepared: option of `duchenne prepare` -> value wanted.
    """
    nearest = min(own.values(), key=lambda settings: len(prepared_otherwise(settings, prepared)))
    alike = [path for path in own if {**own[path], "inputs": 0} == {**nearest, "inputs": 0}]
    first: dict[Any, Path] = {}
    for path in alike:
        first.setdefault(own[path].get("inputs", path), path)
    return list(first.values())


def _synthetic(out: Path, reader: str) -> Step:
    seed = [*READERS.values(), "voxceleb2", "bp4d_plus"].index(reader)  # people of their own in every data set
    return Step("faces", ("synth", "--out", str(out), "--seed", str(seed), *_TINY), out)


def _training(recipe: str, data: Sequence[str], out: Path, options: Options) -> Step:
    run = out / "runs" / recipe.replace("/", "_")
    named = _file(recipe, out, options, in_folds=False) or recipe
    words = ["pretrain", _method(recipe), "--data", *data, "--out", str(run), "--recipe", str(named)]
    if options.max_steps:
        words += ["--max-steps", str(options.max_steps)]
    if options.devices > 1:
        words += ["--devices", str(options.devices)]
    return Step("training", (*words, *_common(options)), run)


def _evaluation(
    table: Table, dataset: str, protocol: str, entries: Sequence[Entry], data: Sequence[str], out: Path,
    options: Options, settled: tuple[str, ...],
) -> Step:  # fmt: skip
    ours = OURS.get(protocol, protocol)
    kind = f"{protocol}_balanced" if "balanced" in settled else protocol
    folder = out / table.name.replace("/", "_") / f"{READERS[dataset]}_{kind}"
    names = {}
    for entry in entries:
        if protocol == "supervised":
            recipe = entry.recipes[0]
            names[entry] = f"{_method(recipe)}:{_file(recipe, out, options, in_folds=True) or recipe}"
        else:
            names[entry] = "+".join(str(out / "runs" / recipe.replace("/", "_")) for recipe in entry.recipes)
    words = ["evaluate", ours, "--method" if protocol == "supervised" else "--model", *dict.fromkeys(names.values())]
    words += ["--data", *data, "--out", str(folder)]
    emotions = dataset in EMOTIONS
    words += ["--target", "emotion"] if emotions else []
    words += ["--folds", "split" if emotions or dataset not in PARTITIONS else PARTITIONS[dataset]]
    if options.miniature:
        words[words.index("--folds") + 1] = "2"
    if options.miniature and "--epochs" in settled:
        settled = ()  # `_QUICK` has fewer
    words += settled
    if options.seeds > 1:
        words += ["--seeds", str(options.seeds)]
    if options.miniature:
        quick = _QUICK.get(ours, ()) if protocol != "supervised" else ()
        words += ["--no-baselines", "--sample-faces", "0", *quick]
    elif not options.baselines:
        words += ["--no-baselines"]
    return Step("evaluation", (*words, *_common(options)), folder, tuple(names.items()))


def _comparisons(table: Table, evaluations: Sequence[Step], out: Path) -> list[Step]:
    """One comparison for each data set and metric, which all rows of that data set share."""
    steps = []
    own = {(entry.row.dataset, entry.row.metric) for step in evaluations for entry, _ in step.entries}
    for dataset, metric in sorted(own):
        folders = [str(step.out) for step in evaluations if step.entries[0][0].row.dataset == dataset]
        place = out / table.name.replace("/", "_") / f"comparison_{READERS[dataset]}"
        words = ["compare", *folders, "--published", dataset.lower(), "--metric", metric, "--out", str(place)]
        if any(entry.row.recipe for step in evaluations for entry, _ in step.entries):
            words += ["--ablations"]
        steps.append(Step("comparison", tuple(words), place))
    return steps


def _common(options: Options) -> list[str]:
    words = [] if options.device == "auto" else ["--device", options.device]
    return [*words, *(["--quiet"] if options.quiet else [])]


def _file(recipe: str, out: Path, options: Options, *, in_folds: bool) -> Path | None:
    """The file of `write_recipes` that is trained by in place of a recipe; None: the recipe itself.

    Args:
        recipe: its name.
        out: folder for everything.
        options: what else is asked.
        in_folds: whether an evaluation trains it, which takes no `--max-steps`.
    """
    steps = f"_{options.max_steps}_steps" if in_folds and options.max_steps else ""
    if not (steps or options.miniature):
        return None
    return (out / MINIATURE if options.miniature else out) / "recipes" / f"{recipe.replace('/', '_')}{steps}.yaml"


def _method(recipe: str) -> str:
    from importlib.resources import files

    assert recipe in recipe_names(), recipe
    return str(load_mapping(str(files("duchenne") / "recipes" / f"{recipe}.yaml"))["method"])
