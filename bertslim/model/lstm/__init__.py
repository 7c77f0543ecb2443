"""Small recurrent models: BiLSTMs over words and their characters, for texts, pairs and tags."""
