"""Whether a file stands on a share, where no lock and no look at its holders can be trusted."""

from pathlib import Path

import pytest

from connectors.sqlite_holders import find_share, share_of

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /srv rw,relatime shared:2 - nfs4 files:/srv rw,vers=4.2
31 30 8:2 / /srv/local rw,relatime - xfs /dev/sdb1 rw
32 22 0:41 / /mnt/Brigade\\040de\\040Lozère rw,relatime master:3 - cifs //files/brigade rw
33 22 0:42 / /home rw - fuse.sshfs far:/home rw
34 22 0:43 / /odd\\134\\011place rw - 9p host rw
35 22 0:44 / /run rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("place", "share"),
    [
        ("/brigade.db", ""),
        ("/srv/48/brigade.db", "nfs4"),
        ("/srv/local/brigade.db", ""),
        ("/srvant/brigade.db", ""),
        ("/mnt/Brigade de Lozère/brigade.db", "cifs"),
        ("/mnt/Brigade/brigade.db", ""),
        ("/home/greffe/brigade.db", "fuse.sshfs"),
        ("/odd\\\tplace/brigade.db", "9p"),
        ("/run/brigade.db", ""),
    ],
)
def test_a_file_stands_on_what_is_mounted_nearest_above_it(place, share):
    assert find_share(Path(place), MOUNTS) == share


def test_a_mount_over_another_counts_as_the_last_one():
    over = MOUNTS + "36 30 0:45 / /srv rw - ext4 /dev/sdc1 rw\n"

    assert find_share(Path("/srv/48/brigade.db"), over) == ""


def test_a_link_into_a_share_stands_on_that_share(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "near.db").symlink_to(tmp_path / "far" / "brigade.db")
    mounts = f"{MOUNTS}40 22 0:50 / {tmp_path.resolve()}/far rw - nfs files:/x rw\n"

    assert find_share(tmp_path / "near.db", mounts) == "nfs"
    assert find_share(tmp_path / "other.db", mounts) == ""


def test_the_disk_of_this_machine_is_no_share(tmp_path):
    assert share_of(tmp_path / "brigade.db") == ""
