from bertslim.model.families.bert import ENCODER_TENSORS, SETTINGS
from bertslim.model.families.family import ENCODER, SEQUENCES, SPANS, TOKENS, WORDS, Family

ELECTRA = Family(
    model_type="electra",
    classes="Electra",
    prefix="electra",
    settings={**SETTINGS, "embedding_size": "embedding_size"},
    fixed={"mlm_activation": "gelu"},
    encoder={**ENCODER_TENSORS, "embeddings.projection": "embeddings_project"},
    heads={
        ENCODER: {},
        SEQUENCES: {"bert.pooler": "classifier.dense", "classifier": "classifier.out_proj"},
        TOKENS: {"classifier": "classifier"},
        SPANS: {"qa_outputs": "qa_outputs"},
        WORDS: {
            "mlm.dense": "generator_predictions.dense",
            "mlm.layer_norm": "generator_predictions.LayerNorm",
            "mlm.bias": "generator_lm_head.bias",
        },
    },
    poolers={SEQUENCES: "gelu"},
    tied={"generator_lm_head.weight": "electra.embeddings.word_embeddings.weight"},
    tokenizer="ElectraTokenizer",
    aliases={"ForPreTraining": ENCODER},
    ignored=("discriminator_predictions",),
)
