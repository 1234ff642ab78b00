"""Requests in, pictures out: step-level batching in a process of its own."""
