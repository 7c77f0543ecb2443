"""What a model's outputs are called; apart from the models, since this needs no PyTorch."""

OUTPUTS = ("logits", "start_logits", "end_logits", "last_hidden_state", "pooler_output")
