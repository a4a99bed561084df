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


def as_printed(folder: Path, file: Path) -> Path:
    """Give a copy of a page that shows on the screen what is printed: its rules for paper hold everywhere."""
    folder.mkdir(exist_ok=True)
    copy = folder / f"printed-{file.name}"
    html = file.read_text(encoding="utf-8")
    assert "@media print" in html
    plain = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    copy.write_text(plain.replace("@media print", "@media all"), encoding="utf-8")
    return copy


def measure_overflow(folder: Path, file: Path, width: int) -> list[str]:
    """Show a page in a window of so many pixels; name what leaves it sideways, but for what scrolls in a region.

    Give it what `as_printed` made to see the page as paper does.
    """
    folder.mkdir(exist_ok=True)
    frame = folder / "frame.html"
    frame.write_text(_FRAME % (width, file.resolve().as_uri()), encoding="utf-8")
    shown = _run(folder, "--allow-file-access-from-files", "--virtual-time-budget=5000", "--dump-dom", frame.as_uri())
    measured = re.search(r"<pre>(.*?)</pre>", shown.stdout, re.DOTALL)
    assert measured is not None, "the page was not measured"
    return measured[1].split()


_FRAME = """<!doctype html><body style="margin:0"><iframe style="border:0;width:%dpx;height:900px" src="%s"></iframe>
<script>
onload = () => {
  const page = document.querySelector("iframe").contentDocument;
  const edge = page.documentElement.clientWidth;
  const scrolls = each => {
    const region = each.closest(".scroll");
    return region && region !== each && getComputedStyle(region).overflowX !== "visible";
  };
  const leaves = [...page.body.querySelectorAll("*")].filter(each => {
    const box = each.getBoundingClientRect();
    return box.width && box.right > edge + 1 && !each.closest(".vh, svg") && !scrolls(each);
  });
  const told = leaves.map(each => [each.tagName, ...each.classList].join("."));
  if (page.documentElement.scrollWidth > edge) told.push("page:" + page.documentElement.scrollWidth);
  const said = document.createElement("pre");
  said.textContent = told.join(" ");
  document.body.append(said);
};
</script>"""


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
