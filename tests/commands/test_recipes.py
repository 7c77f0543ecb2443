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
