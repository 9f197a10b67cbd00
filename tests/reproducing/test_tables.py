"""Which recipes make which printed rows, and the commands that follow."""

import math
import re
import shlex
from pathlib import Path

import pytest

from duchenne.cli.main import main
from duchenne.config import save_mapping
from duchenne.errors import UsageError
from duchenne.methods.cl_ile.method import _planned
from duchenne.published import load, load_ablations
from duchenne.published.stated import ROWS
from duchenne.reproducing.job import _folders, reproduce
from duchenne.reproducing.plan import Data, MissingDataError, Options, plan, write_recipes
from duchenne.reproducing.tables import all_tables, find_table
from duchenne.training.config import method_run_config
from duchenne.training.pretrain import stage_steps
from duchenne.training.recipes import load_recipe, recipe_names


def test_every_printed_row_is_in_a_table_and_made_or_refused_with_a_reason() -> None:
    tables = all_tables().values()
    rows = [entry.row for table in tables for entry in table.entries]
    assert all(row in rows for row in load())
    averages = {(row.paper, row.table, row.dataset, row.method, row.recipe): row for row in rows}
    for row in load_ablations():  # TC prints a row of S5 both ways
        assert (row.paper, row.table, row.dataset, row.method, row.recipe) in averages or any(
            (other.paper, other.table, other.method) == (row.paper, row.table, row.method) for other in load()
        )
    for table in tables:
        for entry in table.entries:
            assert bool(entry.recipes) != bool(entry.reason), entry
            assert set(entry.recipes) <= set(recipe_names())


def test_rows_are_made_by_the_recipe_of_their_own_method() -> None:
    """By the names of the recipes; a wrong line in the table of recipes would train something else."""
    said = {"FAb-Net": "fab_net", "TCAE": "twin_cycle", "N-pair-mc": "n_pair", "KSRL": "knowledge_driven"}
    for table in all_tables().values():
        for entry in table.made:
            name = re.split(r",| k=", entry.row.method)[0]
            method = said.get(name, name.lower().replace("-", "_").replace(" ", "_"))
            if entry.row.protocol != "supervised":
                assert {recipe.split("/")[0] for recipe in entry.recipes} == {method}, entry.row
    (three,) = (entry for entry in find_table("tc/table1").entries if entry.row.method.endswith("k=1,2,4"))
    assert three.recipes == tuple(f"temporal_ranking/voxceleb2_k{k}" for k in (1, 2, 4))


def test_recipes_that_are_rows_of_a_paper_belong_to_a_table() -> None:
    used = {recipe for table in all_tables().values() for entry in table.made for recipe in entry.recipes}
    left = {name for name in set(recipe_names()) - used if name.startswith(ROWS)}
    assert left == {"emoco/affectnet_moco_v2", "fab_net/voxceleb2_3_sources"}  # ours; printed in no table


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("emoco/table1", "which table has this number is not on record; choose emoco/gft or emoco/disfa"),
        ("clp/figure5", "only figures with a curve over recipes"),
        ("clp/tabel1", "did you mean `clp/table1`"),
    ],
)
def test_other_tables_are_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find_table(name)


def test_names_may_be_written_otherwise() -> None:
    assert find_table("CL-ILE/Table3").name == "cl_ile/table3"
    assert find_table("tc/tableS1").name == "tc/table_s1"


def test_the_commands_of_a_table() -> None:
    table = find_table("emoco/gft")
    data = Data({Path("gft"): ("gft", {}), Path("affect"): ("affectnet", {}), Path("vox"): ("voxceleb2", {"fps": 1.0})})
    lines = [str(step) for step in plan(table, data, Path("out"), Options(seeds=3, devices=2, max_steps=9))]
    assert lines[0] == (
        "duchenne pretrain moco --data affect --out out/runs/moco_affectnet --recipe moco/affectnet --max-steps 9 "
        "--devices 2"
    )
    trained = [line for line in lines if " pretrain " in line]
    assert [line.split("--recipe ")[1].split()[0] for line in trained] == [
        "moco/affectnet", "fab_net/voxceleb2", "temporal_ranking/voxceleb2_k1", "emoco/affectnet",
    ]  # fmt: skip
    runs = " ".join(
        f"out/runs/{name}"
        for name in ("moco_affectnet", "fab_net_voxceleb2", "temporal_ranking_voxceleb2_k1", "emoco_affectnet")
    )
    assert lines[4:] == [
        "duchenne evaluate finetune --method supervised:out/recipes/supervised_emoco_baseline_9_steps.yaml --data gft "
        "--out out/emoco_gft/gft_supervised --folds split --seeds 3",
        f"duchenne evaluate linear --model {runs} --data gft --out out/emoco_gft/gft_linear --folds split --seeds 3",
        f"duchenne evaluate finetune --model {runs} --data gft --out out/emoco_gft/gft_finetune --folds split "
        "--epochs 5 --seeds 3",
        "duchenne compare out/emoco_gft/gft_supervised out/emoco_gft/gft_linear out/emoco_gft/gft_finetune --published "
        "gft --metric f1 --out out/emoco_gft/comparison_gft",
    ]


@pytest.mark.parametrize("miniature", [False, True])
def test_a_number_of_steps_reaches_what_is_trained_in_every_fold(miniature: bool, tmp_path: Path) -> None:
    table, data = find_table("cl_ile/bp4d"), Data({Path("bp4d"): ("bp4d", {})})
    options = Options(max_steps=9, miniature=miniature)
    (step,) = (step for step in plan(table, data, tmp_path, options) if step.kind == "evaluation")
    files = dict(write_recipes(table, tmp_path, options))
    named = [step.words[place + 1].partition(":") for place, word in enumerate(step.words) if word == "--method"]
    assert [(method, Path(file)) for method, _, file in named] == [("cl_ile", path) for path in files]
    for path, values in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_mapping(path, values)
        config = method_run_config("cl_ile")(**load_recipe(str(path), "cl_ile"))
        assert [stage_steps(stage, config, clips=10**6) for stage in _planned(config)] == [9, 9, 9]
        assert config.literal_sgd, "the paper's, as before"
    assert list(write_recipes(table, tmp_path, Options())) == []
    assert not set(files) & set(dict(write_recipes(table, tmp_path, Options(max_steps=8, miniature=miniature))))


def test_processes_are_refused_where_no_training_takes_them() -> None:
    data = Data({Path("bp4d"): ("bp4d", {})})
    with pytest.raises(UsageError, match="devices 2: cl_ile/bp4d is trained within the folds of its evaluations"):
        plan(find_table("cl_ile/bp4d"), data, Path("out"), Options(devices=2))


def test_folds_targets_and_weights_are_the_papers() -> None:
    def words(name: str) -> str:
        try:
            steps = plan(find_table(name), Data(), Path("out"), Options())
        except MissingDataError as error:
            steps = error.steps
        return "\n".join(map(str, steps))

    assert "--folds bp4d:jaa --weighting none" in words("ksrl/table3"), "its classifiers were not weighted"
    lines = words("ksrl/table3").splitlines()
    tested = [line for line in lines if " evaluate " in line]
    unweighted = [line for line in tested if "--weighting none" in line]
    assert len(unweighted) == 3, "one weighting for all rows of a table"
    (other,) = set(tested) - set(unweighted)
    assert "evaluate areas " in other
    assert "--out out/ksrl_table3/bp4d_areas_balanced --folds bp4d:jaa --weighting balanced" in other
    assert "out/ksrl_table3/bp4d_areas out/ksrl_table3/bp4d_areas_balanced --published" in lines[-1]
    assert "--epochs 5" in words("emoco/table3"), "EmoCo: it converges in less than five"
    assert "--epochs" not in words("clp/table1")
    assert "--folds disfa:jaa" in words("clp/table2")
    assert "--target emotion --folds split" in words("clp/raf-db")
    assert "prepare affectnet --root AFFECTNET --out out/data/affectnet_emotions_7 --emotions=7" in words("clp/table6")
    assert "--metric recall" in words("clp/raf-db")
    assert "--metric auc" in words("tc/table4")
    assert "runs/temporal_ranking_voxceleb2_k1+out/runs/temporal_ranking_voxceleb2_k2+out/runs" in words("tc/table1")
    assert words("clp/table4").count("evaluate linear+bn") == 2
    assert "--ablations" in words("clp/table4")
    assert all(f"--recipe emoco/lambda_{value}_l2" in words("emoco/figure4") for value in (0.1, 0.5, 1, 2, 10))


def test_the_folder_that_was_prepared_as_the_paper_did_it_is_taken() -> None:
    """One way of preparing alone: copies of the same recordings would be seen more often, and on both sides."""
    every = {
        Path("drawn"): ("voxceleb2", {"per_subject": 8, "inputs": "b"}),
        Path("slow"): ("voxceleb2", {"fps": 1.0, "inputs": "a"}),
        Path("slow_drawn"): ("voxceleb2", {"fps": 1.0, "per_subject": 8, "inputs": "b"}),
        Path("whole"): ("voxceleb2", {"inputs": "a"}), Path("large"): ("voxceleb2", {"inputs": "a"}),
        Path("rest"): ("voxceleb2", {"inputs": "c"}),
    }  # fmt: skip
    others = {
        Path("b"): ("bp4d", {}), Path("a8"): ("affectnet", {"emotions": 8}), Path("a7"): ("affectnet", {"emotions": 7}),
        Path("r"): ("rafdb", {}),
    }  # fmt: skip

    def used(name: str, *without: str) -> dict[str, str]:
        left = {path: found for path, found in every.items() if str(path) not in without}
        steps = plan(find_table(name), Data({**left, **others}), Path("out"), Options())
        words = {step.out.name: step.words for step in steps if step.kind in ("training", "evaluation")}
        return {out: " ".join(own[own.index("--data") + 1 : own.index("--out")]) for out, own in words.items()}

    found = used("tc/table_s1")
    assert {found[name] for name in found if name != "bp4d_linear"} == {"whole rest"}, "every utterance, each once"
    found = used("clp/table1")
    assert found["clp_voxceleb2"] == found["moco_voxceleb2"] == "drawn"
    assert found["fab_net_voxceleb2"] == "slow"
    assert found["temporal_ranking_voxceleb2_k4"] == "whole rest"
    assert found["emoco_affectnet"] == "a8"
    assert used("clp/table1", "slow")["fab_net_voxceleb2"] == "slow_drawn", "the nearest, and the run says so"
    assert used("tc/table1", "whole", "large", "rest")["temporal_ranking_voxceleb2_k1"] == "drawn"
    assert used("clp/table6")["affectnet_linear+bn"] == "a7", "its mean is over seven emotions"
    assert used("tc/table4")["affectnet_linear"] == "a8"
    assert used("clp/raf-db")["rafdb_linear"] == "r"


def test_missing_data_are_named_with_the_command_that_prepares_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "clp/table4"]) == 2
    said = capsys.readouterr().err
    assert "`duchenne prepare voxceleb2 --root VOXCELEB2 --out reproduction/data/voxceleb2_per_subject_8" in said
    assert "--per-subject=8`" in said
    assert said.count("duchenne prepare") == 3
    assert main(["reproduce", "clp/table4", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 + 9 + 2 + 2
    assert all(shlex.split(line)[0] == "duchenne" for line in lines)


def test_rows_that_are_not_made_are_said_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """TAE's were missing from the commands of these tables without a word."""
    tae = {entry.row.dataset for table in all_tables().values() for entry in table.entries if entry.row.method == "TAE"}
    assert tae == {"GFT", "DISFA", "BP4D", "RAF-DB", "AffectNet"}
    for name in ("emoco/gft", "emoco/disfa", "emoco/table3", "clp/table1", "clp/table3", "clp/raf-db", "clp/table6"):
        assert main(["reproduce", name, "--dry-run"]) == 0
        found = capsys.readouterr()
        assert "TAE (what its authors changed in TCAE (twin_cycle) is not public)" in found.err, name
        assert "Not made" not in found.out, "commands alone"
        assert find_table(name).left_out in reproduce(name, dry_run=True, tell=lambda _: None).notes
    assert reproduce("clp/table4", dry_run=True, tell=lambda _: None).notes == ()


def test_raw_data_are_prepared_where_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "BP4D").mkdir()
    done = reproduce("cl_ile/bp4d", root={"bp4d": tmp_path / "BP4D"}, out=tmp_path / "out", dry_run=True)
    assert done.commands[0] == f"duchenne prepare bp4d --root {tmp_path}/BP4D --out {tmp_path}/out/data/bp4d"
    assert done.table is None
    with pytest.raises(UsageError, match="write NAME=DIR"):
        reproduce("cl_ile/bp4d", root=["bp4e=x"])
    with pytest.raises(UsageError, match="makes its own faces"):
        reproduce("cl_ile/bp4d", root={"bp4d": tmp_path}, miniature=True)


def test_points_of_curves_have_no_number() -> None:
    points = find_table("emoco/figure4").entries
    assert len(points) == 20
    assert all(math.isnan(entry.row.average) for entry in points)


def test_only_prepared_folders_are_data(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="there is no such folder"):
        _folders([tmp_path / "none"])
