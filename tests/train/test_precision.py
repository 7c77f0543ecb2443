import pytest
import torch

from bertslim.errors import UnavailableError
from bertslim.train import precision
from bertslim.train.precision import autocast, choose_device, choose_precision

CPU = torch.device("cpu")


def pretend(monkeypatch: pytest.MonkeyPatch, *, amx: bool, avx512_bf16: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)


@pytest.mark.parametrize(("amx", "avx512_bf16"), [(True, False), (False, True)])
def test_auto_takes_bf16_where_the_cpu_has_it(
    monkeypatch: pytest.MonkeyPatch, amx: bool, avx512_bf16: bool
) -> None:
    pretend(monkeypatch, amx=amx, avx512_bf16=avx512_bf16)
    chosen = [choose_precision(asked, CPU) for asked in ("auto", "bf16", "fp32")]
    assert chosen == ["bf16", "bf16", "fp32"]


def test_bf16_is_never_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, amx=False, avx512_bf16=False)
    assert choose_precision("auto", CPU) == "fp32"
    with pytest.raises(UnavailableError, match="no bf16 instructions") as error:
        choose_precision("bf16", CPU)
    assert error.value.hint.startswith("use --precision fp32")


def test_autocast_changes_products_only_for_bf16() -> None:
    matrix = torch.eye(2)
    with autocast("fp32", CPU):
        assert (matrix @ matrix).dtype == torch.float32
    with autocast("bf16", CPU):
        assert (matrix @ matrix).dtype == torch.bfloat16


@pytest.mark.parametrize(("rank", "number"), [(None, 0), ("0", 0), ("3", 3), ("5", 1)])
def test_each_process_of_a_host_has_a_gpu(
    monkeypatch: pytest.MonkeyPatch, rank: str | None, number: int
) -> None:
    monkeypatch.setattr(precision.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(precision.torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert choose_device("auto") == torch.device("cuda", number)


def test_a_missing_gpu_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision.torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == CPU
    with pytest.raises(UnavailableError, match="no CUDA device"):
        choose_device("cuda")
