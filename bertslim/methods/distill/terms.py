"""What a student can be told to have in common with its teacher: a loss for each, all pure.

One convention holds for all: a sum over classes or channels, a mean over what there are more of the
longer a text is (tokens, pairs of tokens), then a mean over the batch's items. Hidden states are
counted as the models hand them out: 0 is the embeddings, m the output of layer m.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bertslim.model.lstm.crf import chain_loss
from bertslim.train.batching import IGNORED_LABEL, LOGITS_AT
from bertslim.train.objectives import compared_logits, divergences, soft_loss, squared_error

Batch = Mapping[str, Tensor]
Term = Callable[[Any, Any, Batch], Tensor]
"""(student's outputs, teacher's outputs, batch) -> a loss."""
Pairs = Sequence[tuple[int, int]]
"""Which of the student's hidden states goes with which of the teacher's."""


def task_loss(student: Any, _teacher: Any, _batch: Batch) -> Tensor:
    """Return the task's own loss, from the labels."""
    loss: Tensor = student.loss
    return loss


def soft_error(student: Any, teacher: Any, batch: Batch, temperature: float) -> Tensor:
    """Return how far the student's logits are from the teacher's; see `teacher_objective`."""
    if LOGITS_AT in batch:
        z, v = compared_logits(student, teacher, batch)
        return word_mean(divergences(z, v, temperature), batch)
    return soft_loss(student, teacher, batch, temperature)


def logit_error(student: Any, teacher: Any, batch: Batch) -> Tensor:
    """Return |z - v|^2, what the divergence becomes at a high temperature (Hinton et al. §2.1)."""
    z, v = compared_logits(student, teacher, batch)
    if LOGITS_AT in batch:
        return word_mean((z - v).square().sum(-1), batch)
    return squared_error(z, v)


def pseudo_error(student: Any, teacher: Any, batch: Batch) -> Tensor:
    """Return the labels' loss with the teacher's likeliest in their place (Izsak et al. 2019).

    With a CRF it is the chain's, over the words of a sentence.
    """
    if getattr(student, "chain", None) is not None:
        told = teacher.logits.argmax(-1)  # (batch, length)
        labels = torch.where(batch["labels"] == IGNORED_LABEL, IGNORED_LABEL, told)
        return chain_loss(student.chain, student.logits, labels)
    z, v = compared_logits(student, teacher, batch)
    surprise = functional.cross_entropy(z, v.argmax(-1), reduction="none")
    return word_mean(surprise, batch) if LOGITS_AT in batch else surprise.mean()


def patient_loss(student: Any, teacher: Any, batch: Batch, pairs: Pairs) -> Tensor:
    """Return how far the first tokens' states point apart (PKD, Sun et al. 2019, section 3.2)."""
    rows = torch.zeros(len(batch["input_ids"]), device=batch["input_ids"].device)
    for own, other in pairs:
        h_s, h_t = (o.hidden_states[n][:, 0] for o, n in ((student, own), (teacher, other)))
        # L_PT = sum_j | h_j^s / |h_j^s|_2  -  h_j^t / |h_j^t|_2 |_2^2      h: (batch, hidden)
        gap = functional.normalize(h_s.float(), dim=-1) - functional.normalize(h_t.float(), dim=-1)
        rows = rows + gap.square().sum(-1)
    return item_mean(rows, batch)


def cosine_loss(student: Any, teacher: Any, batch: Batch) -> Tensor:
    """Return 1 - cos of the last hidden states (DistilBERT, Sanh et al. 2019, section 3)."""
    h_s, h_t = (outputs.hidden_states[-1].float() for outputs in (student, teacher))
    # L_cos = 1 - cos(h_s, h_t), per token              h: (batch, length, hidden)
    return item_mean(token_mean(1 - functional.cosine_similarity(h_s, h_t, dim=-1), batch), batch)


def attention_loss(student: Any, teacher: Any, batch: Batch, pairs: Pairs) -> Tensor:
    """Return how far the raw attention scores are apart (TinyBERT, Jiao et al. 2020, eq. 7).

    Only pairs of real tokens count, so that padding changes nothing.
    """
    mask = batch["attention_mask"].float()
    real = mask[:, None, :, None] * mask[:, None, None, :]  # (batch, 1, length, length)
    rows = torch.zeros(len(mask), device=mask.device)
    for own, other in pairs:
        a_s, a_t = student.attention_scores[own - 1], teacher.attention_scores[other - 1]
        # L_attn = 1/h sum_i MSE(A_i^S, A_i^T),  A = Q K^T / sqrt(d_k)    (batch, h, length, length)
        errors = (a_s.float() - a_t.float()).square() * real
        rows = rows + errors.sum((1, 2, 3)) / (a_s.shape[1] * real.sum((1, 2, 3)))
    return item_mean(rows, batch)


class ProjectedStates(nn.Module):
    """How far mapped hidden states are from the teacher's; each pair has a map that is learnt.

    TinyBERT's L_embd and L_hidn (eq. 8 and 9). The maps have no bias, as in the paper; its code has
    one map with a bias for all.
    """

    def __init__(self, pairs: Pairs, start: Tensor) -> None:
        """Start every map as `start`, (teacher's hidden, student's hidden)."""
        super().__init__()
        self.pairs = tuple(pairs)
        self.maps = nn.ParameterList(start.clone() for _ in pairs)

    def forward(self, student: Any, teacher: Any, batch: Batch) -> Tensor:
        """Return the sum over the pairs."""
        rows = torch.zeros(len(batch["input_ids"]), device=batch["input_ids"].device)
        for w, (own, other) in zip(self.maps, self.pairs, strict=True):
            h_s, h_t = student.hidden_states[own], teacher.hidden_states[other]
            # L_hidn = | H_S W_h - H_T |^2 per token           H: (batch, length, hidden)
            errors = (functional.linear(h_s, w).float() - h_t.float()).square().sum(-1)
            rows = rows + token_mean(errors, batch)
        return item_mean(rows, batch)


class Representation(nn.Module):
    """How far what a text comes to is from the teacher's view of it, its first token's state.

    Mukherjee and Awadallah 2020, equation 4, with the distance that their code takes by default:
    the paper's divergence is one of distributions, and states are none.
    """

    def __init__(self, layer: int, start: Tensor) -> None:
        """Compare with the teacher's `layer`; the map starts as (teacher's, student's channels)."""
        super().__init__()
        self.layer = layer
        self.map = nn.Linear(start.shape[1], start.shape[0])
        with torch.no_grad():
            self.map.weight.copy_(start)
            self.map.bias.zero_()

    def forward(self, student: Any, teacher: Any, _batch: Batch) -> Tensor:
        """Return the mean over texts."""
        z = teacher.hidden_states[self.layer][:, 0]
        # | gelu(W_f h_s + b_f) - z_l |^2           z: (batch, teacher's), h: (batch, student's)
        errors = functional.gelu(self.map(student.pooled).float()) - z.float()
        loss: Tensor = errors.square().sum(-1).mean()
        return loss


def token_mean(values: Tensor, batch: Batch) -> Tensor:
    """Average (batch, length) values over the real tokens of each row."""
    mask = batch["attention_mask"].to(values.dtype)
    return (values * mask).sum(-1) / mask.sum(-1)


def word_mean(values: Tensor, batch: Batch) -> Tensor:
    """Average (tokens,) values at the tokens where logits were wanted, first over those of a row.

    Where these are the masked ones, which are the items, it is a plain mean.
    """
    at = batch[LOGITS_AT]  # (batch, length)
    table = torch.zeros(at.shape, device=at.device).masked_scatter(at, values)
    return item_mean(table.sum(-1) / at.sum(-1).clamp(min=1), batch)


def item_mean(rows: Tensor, batch: Batch) -> Tensor:
    """Average (batch,) losses of rows over the batch's items: a row with two of them counts twice.

    So a batch has the same loss as its micro-batches, whose shares are counted in items.
    """
    labels = batch.get("labels")
    if labels is None or labels.ndim < 2:
        return rows.mean()
    items = (labels != IGNORED_LABEL).sum(-1)  # (batch,)
    return (rows * items).sum() / items.sum()
