"""The legacy world, one file per medium: read, changes, write back, fence."""
