import torch
from torch.nn.functional import cross_entropy

from bertslim.train.batching import collate, rows_at
from bertslim.train.objectives import labels_objective
from tests.train.training import classifier, sentences


def test_labels_give_the_mean_cross_entropy() -> None:
    batch = collate(rows_at(sentences(6), range(6)), 0)
    tensors = {name: torch.from_numpy(column) for name, column in batch.items()}
    outputs = classifier().eval()(**tensors)
    losses = labels_objective(outputs, None, tensors)
    assert losses.keys() == {"task"}
    assert torch.equal(losses["task"], cross_entropy(outputs.logits, tensors["labels"]))
