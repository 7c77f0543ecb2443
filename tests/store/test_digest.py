import shutil
from pathlib import Path

from bertslim.store.digest import checkpoint_digest, settings_digest


def test_key_order_does_not_matter() -> None:
    assert settings_digest({"a": 1, "b": 2}) == settings_digest({"b": 2, "a": 1})
    assert settings_digest({"a": 1}) != settings_digest({"a": 2})


def test_a_checkpoint_is_its_content(tiny: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny, tmp_path / "elsewhere")
    assert checkpoint_digest(copy) == checkpoint_digest(tiny)
    (copy / "provenance.json").write_text("{}")
    (copy / ".hidden").write_text("")
    assert checkpoint_digest(copy) == checkpoint_digest(tiny)
    (copy / "config.json").write_text("{}")
    assert checkpoint_digest(copy) != checkpoint_digest(tiny)
