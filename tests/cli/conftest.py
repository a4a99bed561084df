"""The fixtures of tests/projects.py, for the tests of the command line."""

from projects import fresh_project, known_actor, loaded_project

__all__ = ["fresh_project", "known_actor", "loaded_project"]
