"""Where the command works: the project folder of this invocation."""

from pathlib import Path

from banyan.config import Project, load_project

_folder = [Path()]


def set_project_folder(folder: Path) -> None:
    """Remember the folder given by `-C` for this invocation."""
    _folder[0] = folder


def project_folder() -> Path:
    """Give the folder of this invocation."""
    return _folder[0]


def current_project() -> Project:
    """Read the project of this invocation."""
    return load_project(_folder[0])
