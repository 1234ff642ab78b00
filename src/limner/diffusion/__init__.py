"""Pure tensor functions: noise schedules, samplers, guidance, seeded noise."""
