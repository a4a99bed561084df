"""What a legacy row means: rulesets, lenses, code maps, retention, apply and inverse, lint. Pure values."""
