"""Makes transformers' Auto classes and `pipeline()` open our model types without further flags."""

AUTO_CLASSES = {
    "AutoModel": "SlimBertModel",
    "AutoModelForMaskedLM": "SlimBertForMaskedLM",
    "AutoModelForQuestionAnswering": "SlimBertForQuestionAnswering",
    "AutoModelForSequenceClassification": "SlimBertForSequenceClassification",
    "AutoModelForTokenClassification": "SlimBertForTokenClassification",
}
LSTM_CLASSES = {
    "AutoModel": "SlimLstmModel",
    "AutoModelForSequenceClassification": "SlimLstmForSequenceClassification",
    "AutoModelForTokenClassification": "SlimLstmForTokenClassification",
}


def register_config() -> None:
    """Tell `AutoConfig` about our types; run once transformers' configuration module is there."""
    from transformers.models.auto.configuration_auto import AutoConfig

    from bertslim.model.configuration import SlimBertConfig
    from bertslim.model.lstm.configuration import SlimLstmConfig

    for config in (SlimBertConfig, SlimLstmConfig):
        AutoConfig.register(config.model_type, config, exist_ok=True)


def register_models() -> None:
    """Tell every `AutoModel` class about our types; run once transformers has defined them."""
    from transformers.models.auto import modeling_auto

    from bertslim.model import modeling
    from bertslim.model.configuration import SlimBertConfig
    from bertslim.model.lstm import modeling as lstm
    from bertslim.model.lstm.configuration import SlimLstmConfig

    kinds = ((SlimBertConfig, modeling, AUTO_CLASSES), (SlimLstmConfig, lstm, LSTM_CLASSES))
    for config, module, classes in kinds:
        for auto, name in classes.items():
            getattr(modeling_auto, auto).register(config, getattr(module, name), exist_ok=True)
