"""A headless browser that can resolve no name, watched: what a page prints, what it asks for, how many sheets it is."""

import json
import re
import subprocess
from pathlib import Path


def open_in_browser(folder: Path, file: Path) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Show a page in a browser that can resolve no name; give what it printed and what the page asked for.

    The browser's own requests (its clock, its updates) have no origin; those a page starts have one.
    """
    log = folder / "net.json"
    shown = _run(folder, f"--log-net-log={log}", "--enable-logging=stderr", "--dump-dom", file.as_uri())
    asked = set()
    for event in json.loads(log.read_text(encoding="utf-8"))["events"]:
        details = event.get("params", {})
        if "url" in details and details.get("initiator", "not an origin") != "not an origin":
            asked.add(details["url"])
    return shown, asked


def count_printed_sheets(folder: Path, file: Path) -> int:
    """Print a page as a person does, and give how many sheets of paper come out."""
    target = folder / "printed.pdf"
    _run(folder, "--no-pdf-header-footer", f"--print-to-pdf={target}", file.as_uri())
    return len(re.findall(rb"/Type\s*/Page[^s]", target.read_bytes()))


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    shown = subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
            "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}", *arguments,
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert shown.returncode == 0
    return shown
