"""Judgement: evidence, gates, sign-offs and the page a steward reads; never imports the accused (sync)."""
