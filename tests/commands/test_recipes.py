"""The shipped recipes: each is a file of saved flags that the command takes, for a BERT-base."""

import shutil
import tomllib
from pathlib import Path

import pytest

from bertslim.cli import main
from bertslim.methods.distill.cut import cut_config, cut_of
from bertslim.methods.distill.plan import Plan, plan
from bertslim.methods.distill.settings import distill_settings
from bertslim.model.configuration import SlimBertConfig

RECIPES = sorted((Path(__file__).parents[2] / "configs" / "distill").glob("*.toml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_the_command_takes_it(
    recipe: Path, tmp_path: Path, tiny: Path, sentence_task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny, tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    words = ["distill", "tiny", "--teacher", "tiny", "--task", str(sentence_task)]
    assert main([*words, "--config", str(recipe), "--dry-run"]) == 0


def planned(recipe: Path) -> Plan:
    """What a recipe compares in a student of BERT-base."""
    given = tomllib.loads(recipe.read_text())
    wishes = distill_settings(
        given["objective"],
        given.get("temperature", 1.0),
        given.get("alpha"),
        given.get("weight", []),
        given.get("match", "skip"),
        given.get("student"),
    )
    base = SlimBertConfig()
    student = base if wishes.student is None else cut_config(base, cut_of(wishes.student, base))
    return plan(wishes, student, base)


def test_they_are_what_the_papers_say() -> None:
    plans = {recipe.stem: planned(recipe) for recipe in RECIPES}
    layers = {name: [teacher for _, teacher in p.patient_pairs] for name, p in plans.items()}
    assert layers["pkd-skip"] == [2, 4, 6, 8, 10]
    assert layers["pkd-last"] == [7, 8, 9, 10, 11]
    assert plans["pkd-skip"].weights["patient"] == pytest.approx(500 / (5 * 768), rel=0.01)
    tiny = plans["tinybert-task"]
    assert (tiny.pairs, tiny.widths) == (((1, 3), (2, 6), (3, 9), (4, 12)), (768, 312))
    assert tiny.weights.keys() == {"embeddings", "hidden", "attention"}
    assert plans["tinybert-prediction"].weights == {"soft": 1.0}
    general = plans["tinybert-general"]
    assert general.weights.keys() == tiny.weights.keys()
    triple = plans["distilbert"].weights
    parts = [triple[term] / triple["cosine"] for term in ("soft", "task", "cosine")]
    assert parts == pytest.approx([5, 2, 1], rel=0.01)


@pytest.mark.parametrize("name", ["distilbert", "tinybert-general"])
def test_they_name_a_text_to_distil_from(name: str) -> None:
    root = RECIPES[0].parents[2]
    given = tomllib.loads((root / "configs" / "distill" / f"{name}.toml").read_text())
    assert given["task"] == "configs/tasks/general.toml"
    assert tomllib.loads((root / given["task"]).read_text())["kind"] == "masked-lm"
