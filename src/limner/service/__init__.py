"""Joins engine, prompt writer and store: dispatcher, events, image files."""
