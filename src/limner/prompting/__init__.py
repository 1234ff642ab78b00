"""GPT-2: text in, a stream of tokens out."""
