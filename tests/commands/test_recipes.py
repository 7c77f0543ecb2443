"""The shipped recipes: each is a file of saved flags that the command takes, for a BERT-base."""

import shutil
import tomllib
from pathlib import Path

import pytest

from bertslim.cli import main
from bertslim.methods.distill.cut import cut_config, cut_of
from bertslim.methods.distill.plan import Plan, plan
from bertslim.methods.distill.recurrent import RecurrentShape, refuse_other_tasks
from bertslim.methods.distill.settings import Distill, distill_settings
from bertslim.methods.distill.shape import StudentShape
from bertslim.model.configuration import SlimBertConfig
from bertslim.model.lstm.configuration import SlimLstmConfig
from tests.train.tasks import conll_task

ALL = sorted((Path(__file__).parents[2] / "configs" / "distill").glob("*.toml"))
RECURRENT = {
    "tang-bilstm": "text-classification",
    "izsak-ner": "token-classification",
    "izsak-ner-crf": "token-classification",
    "xtremedistil-1": "text-classification",
}
"""Recipes of students that are built, and the kind of task they are for."""
FURTHER = ("xtremedistil-2", "xtremedistil-3")
"""Recipes that go on with what another one made."""
SEVERAL = "mkd"
"""The recipe of several tasks."""
RECIPES = [recipe for recipe in ALL if recipe.stem not in (*RECURRENT, *FURTHER, SEVERAL)]
LEARNT = {
    "mkd": {"mse": 1.0},
    "tang-bilstm": {"mse": 1.0},
    "izsak-ner": {"soft": 1.0},
    "izsak-ner-crf": {"soft": 0.1, "pseudo": 1.0},
    "xtremedistil-1": {"representation": 1.0},
    "xtremedistil-2": {"mse": 1.0},
    "xtremedistil-3": {"task": 1.0},
}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_the_command_takes_it(
    recipe: Path, tmp_path: Path, tiny: Path, sentence_task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny, tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    words = ["distill", "tiny", "--teacher", "tiny", "--task", str(sentence_task)]
    assert main([*words, "--config", str(recipe), "--dry-run"]) == 0


@pytest.mark.parametrize("name", RECURRENT)
def test_the_command_takes_those_of_recurrent_students(
    name: str, tmp_path: Path, tiny: Path, sentence_task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (recipe,) = (path for path in ALL if path.stem == name)
    shutil.copytree(tiny, tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    task = str(sentence_task)
    if RECURRENT[name] == "token-classification":
        conll_task(tmp_path, "anna\tB-PER\n\nfilms\tO\n\n" * 6)
        task = "small.toml"
    words = ["distill", "tiny", "--teacher", "tiny", "--task", task, "--config", str(recipe)]
    assert main([*words, "--dry-run"]) == 0
    wishes = wishes_of(recipe)
    assert isinstance(wishes.student, RecurrentShape)
    refuse_other_tasks(wishes.student, RECURRENT[name])


def test_the_command_takes_that_of_several_tasks(
    tmp_path: Path, tiny: Path, sentence_task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (recipe,) = (path for path in ALL if path.stem == SEVERAL)
    shutil.copytree(sentence_task.parent, tmp_path / "data")
    shutil.copy(tmp_path / "data" / "task.toml", tmp_path / "data" / "other.toml")
    shutil.copytree(tiny, tmp_path / "tiny")
    for name in ("task", "other"):
        shutil.copytree(tiny, tmp_path / "tiny" / "tasks" / name)
    monkeypatch.chdir(tmp_path)
    tasks = ["--task", "data/task.toml", "--task", "data/other.toml"]
    words = ["distill", "tiny", "--teacher", "tiny", *tasks, "--config", str(recipe)]
    assert main([*words, "--dry-run"]) == 0
    given = tomllib.loads(recipe.read_text())
    assert all((ALL[0].parents[2] / task).is_file() for task in given["task"])


@pytest.mark.parametrize("name", LEARNT)
def test_recurrent_students_learn_what_the_papers_say(name: str) -> None:
    (recipe,) = (path for path in ALL if path.stem == name)
    student = SlimLstmConfig(architectures=["SlimLstmForSequenceClassification"])
    found = plan(wishes_of(recipe), student, SlimBertConfig())
    assert found.weights == LEARNT[name]
    assert found.first_states == ((6,) if name == "xtremedistil-1" else ())


def wishes_of(recipe: Path) -> Distill:
    """What a recipe asks for."""
    given = tomllib.loads(recipe.read_text())
    return distill_settings(
        given["objective"],
        given.get("temperature", 1.0),
        given.get("alpha"),
        given.get("weight", []),
        given.get("match", "skip"),
        given.get("student"),
    )


def planned(recipe: Path) -> Plan:
    """What a recipe compares in a student of BERT-base."""
    wishes, base = wishes_of(recipe), SlimBertConfig()
    cut = isinstance(wishes.student, StudentShape)
    student = cut_config(base, cut_of(wishes.student, base)) if cut else base
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
    assert plans["states-general"].weights.keys() == {"hidden"}
    assert plans["states-task"].weights.keys() == {"hidden", "soft"}
    triple = plans["distilbert"].weights
    parts = [triple[term] / triple["cosine"] for term in ("soft", "task", "cosine")]
    assert parts == pytest.approx([5, 2, 1], rel=0.01)


@pytest.mark.parametrize("name", ["distilbert", "tinybert-general", "states-general"])
def test_they_name_a_text_to_distil_from(name: str) -> None:
    root = RECIPES[0].parents[2]
    given = tomllib.loads((root / "configs" / "distill" / f"{name}.toml").read_text())
    assert given["task"] == "configs/tasks/general.toml"
    assert tomllib.loads((root / given["task"]).read_text())["kind"] == "masked-lm"
