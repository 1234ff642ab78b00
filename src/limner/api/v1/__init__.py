"""`/v1`: the OpenAI Images protocol, for clients that people already have."""
