"""The shipped task files and the manual's examples: none of them may drift from the code."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from bertslim.train.task import Task, load_task
from bertslim.train.task_schema import FILES, HUB, KINDS, TOP, column_keys
from tests.train.tasks import write_task

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs" / "tasks").glob("*.toml"))
MANUAL = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", MANUAL, flags=re.DOTALL)


def data_names(document: str) -> list[str]:
    """The files that a task names; none for the hub."""
    data = tomllib.loads(document)["data"]
    if "hub" in data:
        return []
    values = [data[split] for split in ("train", "validation") if split in data]
    return [name for value in values for name in ([value] if isinstance(value, str) else value)]


def loaded(document: str, folder: Path) -> Task:
    return load_task(write_task(folder, document, dict.fromkeys(data_names(document), "")))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_shipped_task_files_are_valid(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "configs" / "tasks"
    folder.mkdir(parents=True)
    document = config.read_text(encoding="utf-8")
    for name in data_names(document):
        assert name.startswith("../../data/")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    shutil.copy(config, folder)
    task = load_task(folder / config.name)
    assert task.train
    assert task.name == config.stem


def test_the_shipped_task_files_are_all_described() -> None:
    readme = (ROOT / "configs" / "tasks" / "README.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `([\w-]+)\.toml` \|", readme, re.MULTILINE))
    assert described == {path.stem for path in CONFIGS}
    for path in CONFIGS:
        assert f"`{path.name}`" in readme
        for name in data_names(path.read_text(encoding="utf-8")):
            assert f"`{name.removeprefix('../../data/').split('/')[0]}/`" in readme


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_of_the_manual_are_valid(number: int, tmp_path: Path) -> None:
    assert loaded(EXAMPLES[number], tmp_path).kind in KINDS


def test_the_manual_shows_every_kind_and_names_every_key(tmp_path: Path) -> None:
    assert {loaded(example, tmp_path).kind for example in EXAMPLES} == set(KINDS)
    columns = {key for kind in KINDS for key in column_keys(kind)}
    for key in (*TOP, *FILES, *HUB, *columns):
        assert f"`{key}`" in MANUAL
