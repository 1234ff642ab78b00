"""Measures serving on this machine: Limner's engine against plain loops on the same weights, in one run."""
