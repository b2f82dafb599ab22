"""Check the links of a built site: each leads to a page and to a place in it. None is followed to other machines."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag


class Page(HTMLParser):
    """The links of a page, and the places that links may lead to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        for name, value in attrs:
            if name == "id" and value:
                self.places.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


def broken(folder: Path) -> list[str]:
    """The links of the pages below `folder` that lead nowhere."""
    pages = {path: Page(path) for path in folder.rglob("*.html")}
    found = []
    for path, page in pages.items():
        for link in page.links:
            where, place = urldefrag(link)
            if ":" in where or where.startswith("//"):
                continue
            target = (path.parent / unquote(where.partition("?")[0])).resolve() if where else path
            known = pages.get(target)
            if not target.exists() or (place and known and unquote(place) not in known.places):
                found.append(f"{path.relative_to(folder)}: {link}")
    return found


if __name__ == "__main__":
    if wrong := broken(Path(sys.argv[1]).resolve()):
        sys.exit("\n".join(["links that lead nowhere:", *wrong]))
