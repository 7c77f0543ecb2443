"""The architecture, held: imports point down, and never sideways between the methods' siblings."""

import ast
import graphlib
import sys
from pathlib import Path

import pytest

from bertslim.model.saving import BERT_FILES, LSTM_FILES

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bertslim"
LAYERS = {
    "after_import": 0,
    "errors": 0,
    "console": 0,
    "picture": 1,
    "store": 1,
    "model": 2,
    "train": 3,
    "methods": 4,
    "graph": 4,
    "runtime": 4,
    "commands": 5,
    "cli": 6,
    "__main__": 7,
}
WITHOUT_TORCH = ("errors", "console", "store", "commands", "cli", "__main__")
SOURCES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def part(dotted: str) -> str:
    """Return the folder or file directly below the package: bertslim.store.digest -> store."""
    return dotted.split(".")[1]


def module_name(source: Path) -> str:
    return ".".join(source.relative_to(ROOT).with_suffix("").parts)


def imported_modules(source: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own_imports(source: Path) -> set[str]:
    names = imported_modules(source)
    return {n for n in names if n.startswith("bertslim.") and part(n) in LAYERS}


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_downwards(source: Path) -> None:
    here = part(module_name(source))
    wrong = [
        name
        for name in own_imports(source)
        if part(name) != here and LAYERS[part(name)] >= LAYERS[here]
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Not for their types either."""
    modules = {module_name(source).removesuffix(".__init__"): source for source in SOURCES}
    above = {
        module: {n if n in modules else n.rpartition(".")[0] for n in own_imports(source)}
        for module, source in modules.items()
    }
    graphlib.TopologicalSorter(above).prepare()  # raises a CycleError


@pytest.mark.parametrize("files", [BERT_FILES, LSTM_FILES], ids=["slim_bert", "slim_lstm"])
def test_modelling_files_stand_alone(files: tuple[Path, ...]) -> None:
    """They are copied into checkpoints, where bertslim is not installed."""
    imported = {n.split(".")[0] for file in files for n in imported_modules(file)}
    assert imported - sys.stdlib_module_names == {"torch", "transformers"} & imported


def test_every_folder_has_a_layer() -> None:
    parts = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert parts - {"__init__"} == set(LAYERS)
