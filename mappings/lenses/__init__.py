"""The lenses, one file for each family: how a raw text becomes a canonical value, and back, as Polars expressions."""
