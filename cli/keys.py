"""Key files of the people who sign: made at the first use, the public half beside the project's other public keys."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from banyan.errors import UsageError

if TYPE_CHECKING:
    from sync.workspace import Workspace


def key_file_of(workspace: "Workspace", name: str) -> Path:
    """Give a person's key file of this project, made with its public half at the first use."""
    from validation.sign_off import make_key_file

    path = workspace.project.state_folder / "keys" / f"{name}.json"
    public = workspace.project.folder / "keys" / f"{name}.pub"
    if not path.exists():
        if public.exists():
            raise UsageError(
                f"{name} signs with a key that is not on this machine; nothing was signed", hint="--key FILE"
            )
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        public.parent.mkdir(exist_ok=True)
        key = make_key_file(path)
        descriptor = os.open(public, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key + "\n")
    return path
