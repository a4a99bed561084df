"""What must hold before a closure may change its owner: one file each, listed in registered.py."""
