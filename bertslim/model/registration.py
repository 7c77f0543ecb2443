"""Makes transformers' Auto classes and `pipeline()` open `slim_bert` without further flags."""

AUTO_CLASSES = {
    "AutoModel": "SlimBertModel",
    "AutoModelForMaskedLM": "SlimBertForMaskedLM",
    "AutoModelForQuestionAnswering": "SlimBertForQuestionAnswering",
    "AutoModelForSequenceClassification": "SlimBertForSequenceClassification",
    "AutoModelForTokenClassification": "SlimBertForTokenClassification",
}


def register_config() -> None:
    """Tell `AutoConfig` about `slim_bert`; run once transformers' configuration module is there."""
    from transformers.models.auto.configuration_auto import AutoConfig

    from bertslim.model.configuration import SlimBertConfig

    AutoConfig.register(SlimBertConfig.model_type, SlimBertConfig, exist_ok=True)


def register_models() -> None:
    """Tell every `AutoModel` class about `slim_bert`; run once transformers has defined them."""
    from transformers.models.auto import modeling_auto

    from bertslim.model import modeling
    from bertslim.model.configuration import SlimBertConfig

    for auto, name in AUTO_CLASSES.items():
        model = getattr(modeling, name)
        getattr(modeling_auto, auto).register(SlimBertConfig, model, exist_ok=True)
