"""The synthetic legacy estate: a police record system that never existed, with the list of what is wrong in it."""
