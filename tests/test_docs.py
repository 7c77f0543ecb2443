"""The documentation says what is: shell blocks run, links lead somewhere, every option is there."""

import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from bertslim import __version__
from tests.commands.shell import bash
from tests.tiny import save_tiny_bert, write_sentence_task

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("configs/**/*.md")])
MANUAL = ROOT / "docs" / "manual.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]*)#?([^)]*)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    found = BLOCK.findall(page.read_text())
    return [text for tag, text in found if tag == language]


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to a page's headings."""
    headings = HEADING.findall(BLOCK.sub("", page.read_text()))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


SHELL = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES if blocks(page, "sh")]


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    """What a reader of the documentation has: a backbone, a fine-tuned model, a task."""
    save_tiny_bert(tmp_path / "models" / "minilm", None, max_position_embeddings=128)
    save_tiny_bert(tmp_path / "models" / "sst2", max_position_embeddings=128)
    write_sentence_task(tmp_path / "data")
    task = (tmp_path / "data" / "task.toml").read_text()
    (tmp_path / "sst2.toml").write_text(
        task.replace("train.tsv", "data/train.tsv").replace("dev.tsv", "data/dev.tsv")
    )
    return tmp_path


@pytest.mark.parametrize("page", SHELL)
def test_shell_blocks_run(page: Path, reader: Path) -> None:
    for block in blocks(page, "sh"):
        # The reader's first block makes models/sst2 from the backbone; here it starts afresh.
        if "--output models/sst2" in block:
            shutil.rmtree(reader / "models" / "sst2")
        quick = block.replace("bench models", "bench --seconds 0.1 --no-memory models")
        done = bash(f"set -e\n{quick}", reader)
        assert done.returncode == 0, f"{block}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link[0]]
    places = [((page.parent / path if path else page), anchor) for path, anchor in links]
    assert [place for place in places if not place[0].exists()] == []
    assert [place for place in places if place[1] and place[1] not in anchors(place[0])] == []


def test_the_manual_is_what_help_prints() -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from manual import manual
    finally:
        sys.path.pop(0)
    assert MANUAL.read_text() == manual(), "write it again with `make docs`"


def test_readme_names_every_command_and_make_target() -> None:
    from bertslim.cli import app

    readme = (ROOT / "README.md").read_text()
    for command in app.registered_commands:
        assert f"| `{command.name}` |" in readme
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"demo", "test", "check"} <= set(targets)
    assert re.findall(r"^\$ make (\w+)", readme, re.MULTILINE) == ["demo", "test"]


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    assert f"\n## {__version__} - " in (ROOT / "CHANGELOG.md").read_text()


def test_every_folder_of_the_package_has_tests() -> None:
    folders = {p.name for p in (ROOT / "bertslim").iterdir() if (p / "__init__.py").exists()}
    assert {f for f in folders if not list((ROOT / "tests" / f).rglob("test_*.py"))} == set()
