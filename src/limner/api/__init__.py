"""HTTP to values and back; no decisions."""
