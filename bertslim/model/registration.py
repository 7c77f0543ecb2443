"""Makes transformers' Auto classes and `pipeline()` open `slim_bert` without further flags."""


def register_config() -> None:
    """Tell `AutoConfig` about `slim_bert`; run once transformers' configuration module is there."""
    from transformers.models.auto.configuration_auto import AutoConfig

    from bertslim.model.configuration import SlimBertConfig

    AutoConfig.register(SlimBertConfig.model_type, SlimBertConfig, exist_ok=True)


def register_models() -> None:
    """Tell every `AutoModel` class about `slim_bert`; run once transformers has defined them."""
    from transformers.models.auto import modeling_auto

    from bertslim.model.configuration import SlimBertConfig
    from bertslim.model.modeling import AUTO_CLASSES

    for auto, model in AUTO_CLASSES.items():
        getattr(modeling_auto, auto).register(SlimBertConfig, model, exist_ok=True)
