import importlib
import sys
from pathlib import Path

import pytest

from bertslim.after_import import after_import


def test_it_waits_for_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "late_module.py").write_text("answer = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    seen: list[int] = []
    after_import("late_module", lambda: seen.append(sys.modules["late_module"].answer))
    assert seen == []
    module = importlib.import_module("late_module")
    assert seen == [42]
    assert module.__loader__.get_source("late_module") == "answer = 42\n"
    importlib.reload(module)
    assert seen == [42]


def test_it_does_not_wait_for_what_is_there() -> None:
    seen: list[str] = []
    after_import("json", lambda: seen.append("now"))
    assert seen == ["now"]


def test_a_module_that_is_missing_stays_missing() -> None:
    after_import("no_such_module", lambda: None)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("no_such_module")
