"""Replacing a model's modules by cheaper ones, batch by batch (BERT-of-Theseus)."""
