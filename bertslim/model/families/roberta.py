from dataclasses import replace

from bertslim.model.families.bert import ENCODER_TENSORS, SETTINGS
from bertslim.model.families.family import ENCODER, SEQUENCES, SPANS, TOKENS, WORDS, Family

ROBERTA = Family(
    model_type="roberta",
    classes="Roberta",
    prefix="roberta",
    settings=SETTINGS,
    fixed={"mlm_activation": "gelu"},
    encoder=ENCODER_TENSORS,
    heads={
        ENCODER: {"bert.pooler": "roberta.pooler.dense"},
        SEQUENCES: {"bert.pooler": "classifier.dense", "classifier": "classifier.out_proj"},
        TOKENS: {"classifier": "classifier"},
        SPANS: {"qa_outputs": "qa_outputs"},
        WORDS: {
            "mlm.dense": "lm_head.dense",
            "mlm.layer_norm": "lm_head.layer_norm",
            "mlm.bias": "lm_head.bias",
        },
    },
    poolers={ENCODER: "tanh", SEQUENCES: "tanh"},
    tied={
        "lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    },
    tokenizer="RobertaTokenizer",
    counts_padding_out=True,
)

XLM_ROBERTA = replace(
    ROBERTA, model_type="xlm-roberta", classes="XLMRoberta", tokenizer="XLMRobertaTokenizer"
)
CAMEMBERT = replace(
    ROBERTA, model_type="camembert", classes="Camembert", tokenizer="CamembertTokenizer"
)
