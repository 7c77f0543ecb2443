"""What a model's inputs and outputs are called; apart from the models: this needs no PyTorch."""

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUTS = ("logits", "start_logits", "end_logits", "last_hidden_state", "pooler_output")
