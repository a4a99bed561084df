"""The words of banyan: what exists, what moves, what is decided. No input or output but reading its configuration."""
