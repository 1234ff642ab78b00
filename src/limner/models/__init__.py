"""Adapters over diffusers components; finding and loading models."""
