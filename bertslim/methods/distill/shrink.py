"""A student cut out of a model so that it starts as near to it as it can."""

from dataclasses import dataclass

import torch
from datasets import Dataset
from torch import Tensor

from bertslim.methods.distill.cut import Cut
from bertslim.methods.distill.energy import Energies, energies, narrow_norms
from bertslim.methods.distill.thinning import principal_directions, strongest, thin_maps
from bertslim.model.configuration import layer_widths
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.narrowing import project_states, thin_heads
from bertslim.model.slim import SlimModel
from bertslim.model.surgery import keep_layers, remove_ffn_units, remove_heads


@dataclass(frozen=True, slots=True, eq=False)
class Shrunk:
    """A student, and what it was made of.

    Attributes:
        model: The student.
        basis: Its channels, (old hidden, hidden); None if they are those that there were.
        energy: Share of the hidden states' energy that lies in them.
    """

    model: SlimModel
    basis: Tensor | None
    energy: float


def shrink(model: SlimBertPreTrainedModel, cut: Cut, rows: Dataset) -> Shrunk:
    """Cut a student out of a model.

    Layers are copied. Of heads and feed-forward units those are kept that write most into the
    hidden state. A head that has to be thinner keeps the directions in which its queries and keys
    meet most, and those of its output. The hidden state keeps its principal directions, one basis
    for the whole model, with a LayerNorm fitted to each of the old ones.

    Args:
        model: Any; one with a masked-lm head has to stay as wide as it is. It is left alone.
        cut: What is cut out of it.
        rows: Encoded rows that activations are looked at on.
    """
    whole = keep_layers(model, cut.layers)
    if _is_whole(whole, cut):
        return Shrunk(whole, None, 1.0)
    found = energies(whole, rows)
    small = _with_units(_with_heads(whole, cut, found), cut, found)
    if cut.hidden == model.config.hidden_size:
        return Shrunk(small, None, 1.0)
    basis, energy = principal_directions(found.states, cut.hidden)
    norms = narrow_norms(whole, basis, rows)
    return Shrunk(project_states(small, basis, norms, _pooled(whole, found, cut)), basis, energy)


def _is_whole(model: SlimBertPreTrainedModel, cut: Cut) -> bool:
    """Whether nothing is narrower than it was."""
    fits = all(
        w.heads <= cut.heads and w.intermediate_size <= cut.units
        for w in layer_widths(model.config)
    )
    return fits and cut.hidden == model.config.hidden_size


def _with_heads(
    model: SlimBertPreTrainedModel, cut: Cut, found: Energies
) -> SlimBertPreTrainedModel:
    """Keep the heads that write most, and make them as thin as they have to be."""
    outputs = [_output_by_heads(model, n) for n in range(len(cut.layers))]
    chosen = []
    for w, contexts in zip(outputs, found.contexts, strict=True):
        # sum |W_h c_h|^2 = tr(W_h C_h W_h^T)
        energy = torch.einsum("hod,hde,hoe->h", w.double(), contexts, w.double())
        chosen.append(strongest(energy, cut.heads))
    gone = [set(range(len(w))) - set(kept) for w, kept in zip(outputs, chosen, strict=True)]
    fewer = remove_heads(model, dict(enumerate(gone)))
    if cut.head_dim == model.config.head_dim:
        return fewer
    maps = [
        thin_maps(q[kept], k[kept], c[kept], w[kept], cut.head_dim)
        for q, k, c, w, kept in zip(
            found.queries, found.keys, found.contexts, outputs, chosen, strict=True
        )
    ]
    return thin_heads(fewer, maps)


def _with_units(
    model: SlimBertPreTrainedModel, cut: Cut, found: Energies
) -> SlimBertPreTrainedModel:
    """Keep the feed-forward units that write most: |w_u|^2 sum a_u^2."""
    tensors, gone = model.encoder.state_dict(), {}
    for number, squares in enumerate(found.units):
        weight = tensors[f"layers.{number}.ffn.output.weight"].double()  # (hidden, units)
        kept = strongest(squares * weight.square().sum(0), cut.units)
        gone[number] = set(range(len(squares))) - set(kept)
    return remove_ffn_units(model, gone)


def _output_by_heads(model: SlimBertPreTrainedModel, layer: int) -> Tensor:
    """Return a layer's output projection as (heads, hidden, head_dim)."""
    weight: Tensor = model.encoder.state_dict()[f"layers.{layer}.attention.output.weight"]
    dim = model.config.head_dim
    return weight.view(len(weight), weight.shape[1] // dim, dim).transpose(0, 1)


def _pooled(model: SlimBertPreTrainedModel, found: Energies, cut: Cut) -> Tensor | None:
    """Return the numbers of the pooler's units that move the logits most, or move most."""
    if found.pooled is None:
        return None
    weight = model.state_dict().get("classifier.weight")  # (classes, hidden)
    reach = 1.0 if weight is None else weight.double().square().sum(0)
    return torch.tensor(strongest(found.pooled * reach, cut.hidden))
