import shutil
from pathlib import Path

from bertslim.store.checkpoint import open_checkpoint
from bertslim.store.digest import settings_digest


def test_key_order_does_not_matter() -> None:
    assert settings_digest({"a": 1, "b": 2}) == settings_digest({"b": 2, "a": 1})
    assert settings_digest({"a": 1}) != settings_digest({"a": 2})


def test_a_checkpoint_is_what_is_read_of_it(tiny: Path, tmp_path: Path) -> None:
    original = open_checkpoint(tiny).digest()
    copy = shutil.copytree(tiny, tmp_path / "elsewhere")
    for name in ("provenance.json", ".hidden", "README.md", "model.onnx"):
        (copy / name).write_text("{}")
    assert open_checkpoint(copy).digest() == original
    for name in ("config.json", "tokenizer.json"):
        changed = shutil.copytree(tiny, tmp_path / name)
        (changed / name).write_text((changed / name).read_text() + "\n")
        assert open_checkpoint(changed).digest() != original
