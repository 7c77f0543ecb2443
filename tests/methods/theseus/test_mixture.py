import pytest
import torch

from bertslim.methods.theseus.mixture import Mixture
from bertslim.methods.theseus.successors.successor import Successor
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.surgery import keep_layers
from tests.methods.theseus.worlds import predecessor
from tests.model.zoo import run

KINDS = ("text-classification", "token-classification", "question-answering", "masked-lm")


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    return predecessor(tmp_path_factory.mktemp("model"), request.param)


@pytest.mark.parametrize(
    ("replaced", "layers"),
    [
        ([False, False], [0, 1, 2, 3]),
        ([True, False], [3, 2, 3]),
        ([False, True], [0, 1, 0]),
        ([True, True], [3, 0]),
    ],
)
def test_a_batch_goes_through_what_was_drawn(
    model: SlimBertPreTrainedModel, replaced: list[bool], layers: list[int]
) -> None:
    successor = Successor(keep_layers(model, [3, 0]), ((0, 1), (2, 3)))
    mixture = Mixture(model, successor).eval()
    mixture.replaced = replaced
    ids = torch.randint(5, 30, (3, 9), generator=torch.Generator().manual_seed(0))
    found, expected = run(mixture, input_ids=ids), run(keep_layers(model, layers), input_ids=ids)
    for name in set(found):
        torch.testing.assert_close(found[name], expected[name], atol=1e-6, rtol=0)
    # and the successor is itself again
    own = run(successor.model, input_ids=ids)
    assert all(torch.equal(own[n], run(keep_layers(model, [3, 0]), input_ids=ids)[n]) for n in own)


def test_the_predecessor_is_frozen_and_shares_nothing(model: SlimBertPreTrainedModel) -> None:
    mixture = Mixture(model, Successor(keep_layers(model, [3, 0]), ((0, 1), (2, 3))))
    assert not any(parameter.requires_grad for parameter in mixture.predecessor.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    theirs = {parameter.data_ptr() for parameter in model.parameters()}
    assert not theirs & {parameter.data_ptr() for parameter in mixture.parameters()}
