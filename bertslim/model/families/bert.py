from bertslim.model.families.family import ENCODER, SEQUENCES, SPANS, TOKENS, WORDS, Family

SETTINGS = {
    name: name
    for name in (
        "hidden_act",
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "classifier_dropout",
        "type_vocab_size",
        "layer_norm_eps",
    )
}

ENCODER_TENSORS = {
    "embeddings.word_embeddings": "embeddings.word_embeddings",
    "embeddings.position_embeddings": "embeddings.position_embeddings",
    "embeddings.token_type_embeddings": "embeddings.token_type_embeddings",
    "embeddings.layer_norm": "embeddings.LayerNorm",
    "layers.{}.attention.query": "encoder.layer.{}.attention.self.query",
    "layers.{}.attention.key": "encoder.layer.{}.attention.self.key",
    "layers.{}.attention.value": "encoder.layer.{}.attention.self.value",
    "layers.{}.attention.output": "encoder.layer.{}.attention.output.dense",
    "layers.{}.attention_norm": "encoder.layer.{}.attention.output.LayerNorm",
    "layers.{}.ffn.intermediate": "encoder.layer.{}.intermediate.dense",
    "layers.{}.ffn.output": "encoder.layer.{}.output.dense",
    "layers.{}.ffn_norm": "encoder.layer.{}.output.LayerNorm",
}

BERT = Family(
    model_type="bert",
    classes="Bert",
    prefix="bert",
    settings={**SETTINGS, "mlm_activation": "hidden_act"},
    fixed={},
    encoder=ENCODER_TENSORS,
    heads={
        ENCODER: {"bert.pooler": "bert.pooler.dense"},
        SEQUENCES: {"bert.pooler": "bert.pooler.dense", "classifier": "classifier"},
        TOKENS: {"classifier": "classifier"},
        SPANS: {"qa_outputs": "qa_outputs"},
        WORDS: {
            "mlm.dense": "cls.predictions.transform.dense",
            "mlm.layer_norm": "cls.predictions.transform.LayerNorm",
            "mlm.bias": "cls.predictions.bias",
        },
    },
    poolers={ENCODER: "tanh", SEQUENCES: "tanh"},
    tied={
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    tokenizer="BertTokenizer",
    aliases={"ForPreTraining": WORDS, "ForNextSentencePrediction": ENCODER},
    ignored=("cls.seq_relationship",),
)
