"""Stops and deletes the embedded servers of project folders: `python -m wire.cleanup FOLDER...`."""

import shutil
import sys
from pathlib import Path

from wire.cluster import Cluster, ClusterPlace
from wire.mariadb import MariaDBServer


def destroy_clusters(project: Path) -> int:
    """Stop every embedded server of a project and delete its files; gives how many there were."""
    pointer = project / ".banyan" / "clusters"
    if not pointer.exists():
        return 0
    homes = Path(pointer.read_text().strip()) if pointer.is_file() else pointer
    found = [home for home in homes.iterdir() if (home / "data").exists()] if homes.exists() else []
    for home in found:
        place = ClusterPlace(home)
        if (place.data / "PG_VERSION").exists() or not (place.data / "mysql").is_dir():
            Cluster(place).destroy()
        else:
            MariaDBServer(place).destroy()
    shutil.rmtree(homes, ignore_errors=True)
    return len(found)


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        destroy_clusters(Path(folder))
