"""The canonical model: each column declared once, with its type, nullability, sensitivity and meaning."""
