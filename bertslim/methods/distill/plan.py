"""From settings and the shapes of two models to what exactly is compared, and with what weight."""

from collections.abc import Mapping
from dataclasses import dataclass

from bertslim.errors import SettingsError, fault_list
from bertslim.methods.distill.representation import (
    middle_layer,
    recurrent_plan_faults,
    representation_size,
)
from bertslim.methods.distill.settings import ANSWERS, TAUGHT, Distill, Match, ObjectiveName
from bertslim.model.configuration import SlimBertConfig, layer_widths
from bertslim.model.kinds import head_kind
from bertslim.model.lstm.configuration import SlimLstmConfig
from bertslim.model.slim import SlimConfig
from bertslim.train.records.layout import Kept

ALPHA = 0.9
"""Where logits are learnt and nothing is said; Hinton et al. found a low weight of labels best."""
PATIENT = 0.1
"""Of the grid of the paper's code, beta = 100 for one layer of 768 channels is 0.13."""
COSINE = 0.15
"""The weights of DistilBERT's published run are 5 : 2 : 1, that is 1/7 of teacher and labels."""
PSEUDO = 1.0
"""Where a CRF has no labels: the paper's code weighs its teacher's hard answers as it does them."""

FEATURES: Mapping[ObjectiveName, Mapping[str, float]] = {
    "logits": {},
    "pkd": {"patient": PATIENT},
    "distilbert": {"cosine": COSINE},
}
"""What is learnt beside the answers."""

STATES = ("cosine", "embeddings", "hidden")
"""Terms that compare the states of all tokens."""
PAIRED = ("patient", "hidden", "attention")
"""Terms that compare layer with layer."""
OF_EQUAL_WIDTH = ("patient", "cosine")
BELOW_THE_HEAD = ("patient", "cosine", "attention")
"""Terms in which neither the head nor a map of the objective's own has a part."""


Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is compared.

    Attributes:
        temperature: Of `soft`.
        weights: Of each term that counts, all above 0.
        pairs: Layers that go together, (student's, teacher's), the first being 1.
        patient_pairs: The same for `patient`.
        widths: Channels of the teacher's hidden states, and of the student's.
    """

    temperature: float
    weights: Mapping[str, float]
    pairs: Pairs
    patient_pairs: Pairs
    widths: tuple[int, int]

    @property
    def asked(self) -> dict[str, bool]:
        """Flags of a model's `forward`: what is needed beside the logits, and no more."""
        flags = {
            "output_hidden_states": any(term in self.weights for term in STATES),
            "output_first_states": bool(self.first_states),
            "output_attention_scores": "attention" in self.weights,
        }
        return {flag: True for flag, wanted in flags.items() if wanted}

    @property
    def teaches_answers(self) -> bool:
        """Whether the head learns, so that epochs can be told apart by the metric."""
        return any(term in self.weights for term in ANSWERS)

    @property
    def needs_teacher(self) -> bool:
        """Whether anything but the labels is learnt from."""
        return set(self.weights) != {"task"}

    @property
    def compares_states(self) -> bool:
        """Whether more is compared than answers."""
        return self.compares_tokens or bool(self.first_states)

    @property
    def compares_tokens(self) -> bool:
        """Whether more is compared than answers and first tokens."""
        return any(term in self.weights for term in (*STATES, "attention"))

    @property
    def kept(self) -> Kept | None:
        """What of the teacher's outputs can be kept; None if it is too much."""
        if self.compares_tokens:
            return None
        logits = any(term in self.weights for term in TAUGHT)
        return Kept(logits, self.first_states)

    @property
    def first_states(self) -> tuple[int, ...]:
        """Of which of the teacher's hidden states the first token's is compared."""
        if not {"patient", "representation"} & self.weights.keys():
            return ()
        return tuple(sorted({teacher for _, teacher in self.patient_pairs}))


def only_below_the_head(settings: Distill) -> tuple[str, ...]:
    """Return the terms, if nothing can be learnt of any while the layers stand still; else ()."""
    terms = tuple(_weights(settings, hidden=1))
    return terms if set(terms) <= set(BELOW_THE_HEAD) else ()


def compares_layers(settings: Distill) -> bool:
    """Whether anything is learnt of layers, which `match` pairs."""
    return any(term in (*PAIRED, "representation") for term in _weights(settings, hidden=1))


def learns_answers(settings: Distill) -> bool:
    """Whether the student's head will learn, whatever the two models are like."""
    return any(term in ANSWERS for term in _weights(settings, hidden=1))


def plan(settings: Distill, student: SlimConfig, teacher: SlimConfig) -> Plan:
    """Work out what is compared.

    Raises:
        SettingsError: With everything in which the two models do not fit together.
    """
    weights = _weights(settings, teacher.hidden_size)
    if "pseudo" in weights and head_kind(student) == "text-regression":
        raise SettingsError(
            "pseudo learns the teacher's likeliest class, and a score is none", "take mse or soft"
        )
    if isinstance(student, SlimLstmConfig) or isinstance(teacher, SlimLstmConfig):
        return _of_recurrent(settings, weights, student, teacher)
    if "representation" in weights:
        raise SettingsError(
            "representation is for recurrent students; this one has hidden states",
            "--objective pkd compares them",
        )
    depths = (student.num_hidden_layers, teacher.num_hidden_layers)
    pairs = _pairs(settings.match, *depths)
    # the top layer is left out of `patient`: its part is what the logits learn (section 3.2)
    patient = pairs[:-1] if isinstance(settings.match, str) else pairs
    widths = (teacher.hidden_size, student.hidden_size)
    planned = Plan(settings.temperature, weights, pairs, patient, widths)
    if faults := [*_pair_faults(planned, *depths), *_shape_faults(planned, student, teacher)]:
        raise SettingsError(fault_list("student and teacher do not fit together", faults))
    return planned


def learns_labels(settings: Distill) -> bool:
    """Whether labels count, in whatever models."""
    return "task" in _weights(settings, hidden=1)


def compared_states(settings: Distill) -> tuple[str, ...]:
    """Return the terms that compare more than answers, in whatever models."""
    return tuple(term for term in _weights(settings, hidden=1) if term not in ANSWERS)


def _weights(settings: Distill, hidden: int) -> dict[str, float]:
    """Return the weights of the terms that count; `hidden` is the teacher's."""
    given = {**_preset(settings.objective, settings.alpha, hidden), **settings.weights}
    return {name: weight for name, weight in given.items() if weight > 0}


def _of_recurrent(
    settings: Distill, weights: Mapping[str, float], student: SlimConfig, teacher: SlimConfig
) -> Plan:
    """Return what can be compared where one of the two has no layers like the other's."""
    weights = {**weights, **_chained(settings, weights, student)}
    if faults := recurrent_plan_faults(weights, settings.match, student, teacher):
        raise SettingsError(fault_list("student and teacher do not fit together", faults))
    pairs: Pairs = ()
    if "representation" in weights:
        pairs = ((1, middle_layer(settings.match, teacher)),)
    widths = (teacher.hidden_size, representation_size(student))
    return Plan(settings.temperature, weights, pairs, pairs, widths)


def _chained(
    settings: Distill, weights: Mapping[str, float], student: SlimConfig
) -> dict[str, float]:
    """Return what a CRF learns from where there are no labels: its scores are no logits.

    Raises:
        SettingsError: If that is taken from it.
    """
    chained = isinstance(student, SlimLstmConfig) and student.crf
    if not chained or head_kind(student) != "token-classification" or "task" in weights:
        return {}
    if settings.weights.get("pseudo") == 0:
        raise SettingsError(
            "the student's CRF would learn from nothing: it takes labels, or the teacher's answers "
            "for them",
            "give --alpha below 1, or leave --weight pseudo=0 out",
        )
    return {"pseudo": PSEUDO, **{n: w for n, w in weights.items() if n == "pseudo"}}


def _preset(objective: ObjectiveName, alpha: float | None, hidden: int) -> dict[str, float]:
    """Weights in our convention; those of TinyBERT are the paper's means over channels."""
    if objective == "tinybert":
        body = {"embeddings": 1 / hidden, "hidden": 1 / hidden, "attention": 1.0}
        return body if alpha is None else {**body, **_answers(alpha)}
    answers = _answers(ALPHA if alpha is None else alpha)
    return {**answers, **FEATURES[objective]}


def _answers(alpha: float) -> dict[str, float]:
    return {"soft": alpha, "task": 1 - alpha}


def _pairs(match: Match, own: int, other: int) -> Pairs:
    """Pair the student's layers with the teacher's; see `Match`."""
    if match == "skip":
        # PKD's Skip, TinyBERT's uniform map: g(m) = m N / M
        return tuple((m, round(m * other / own)) for m in range(1, own + 1))
    if match == "last":
        return tuple((m, other - own + m) for m in range(1, own + 1))
    return tuple(enumerate(match, start=1))


def _pair_faults(planned: Plan, own: int, other: int) -> list[str]:
    faults = []
    if not planned.weights:
        faults.append("all weights are 0: there is nothing to learn")
    if not set(PAIRED) & planned.weights.keys():
        return faults
    if len(planned.pairs) > own:
        faults.append(f"--match names {len(planned.pairs)} layers, and the student has {own}")
    if wrong := sorted({g for _, g in planned.pairs if not 1 <= g <= other}):
        names = ", ".join(map(str, wrong))
        faults.append(f"--match asks for layer {names} of a teacher that has 1 to {other}")
    if "patient" in planned.weights and not planned.patient_pairs:
        faults.append("patient leaves the top layer out, and there is no other: use --match")
    return faults


def _shape_faults(planned: Plan, student: SlimBertConfig, teacher: SlimBertConfig) -> list[str]:
    faults = []
    own, other = student.hidden_size, teacher.hidden_size
    if own != other and (terms := [t for t in OF_EQUAL_WIDTH if t in planned.weights]):
        faults.append(
            f"{' and '.join(terms)} cannot compare {own} channels with {other}; embeddings and "
            "hidden can (--objective tinybert)"
        )
    if "attention" in planned.weights:
        faults += _head_faults(planned.pairs, student, teacher)
    return faults


def _head_faults(pairs: Pairs, student: SlimBertConfig, teacher: SlimBertConfig) -> list[str]:
    own, other = layer_widths(student), layer_widths(teacher)
    there = [(m, g) for m, g in pairs if 1 <= m <= len(own) and 1 <= g <= len(other)]
    counts = [(m, own[m - 1].heads, g, other[g - 1].heads) for m, g in there]
    return [
        f"attention: layer {m} has {mine} heads, the teacher's layer {g} has {theirs}; leave it "
        "out with --weight attention=0"
        for m, mine, g, theirs in counts
        if mine != theirs or not mine
    ]
