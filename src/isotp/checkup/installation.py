"""Which distributions have installed a package `isotp`, and whether their files are still there.

`can-isotp` has the import name `isotp`, too. pip does not notice: the one that is installed second overwrites files of
the first, and the one that is uninstalled takes files of the other along. This module imports nothing of the package,
so it works in what is left of it.
"""

import csv
import json
import sys
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import new
from importlib.metadata import Distribution, distributions
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import Final

_OURS: Final = "isotp"  # the name of the distribution and of the package


@dataclass(frozen=True, slots=True)
class Installed:
    """A distribution with a package `isotp`, and what has become of the files in it."""

    name: str
    version: str
    folder: Path
    """The folder of the package."""
    overwritten: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether all files are as they were installed."""
        return not self.overwritten and not self.missing

    def __str__(self) -> str:
        lacks = (("overwritten", self.overwritten), ("missing", self.missing))
        state = "; ".join(f"{what}: {', '.join(files)}" for what, files in lacks if files)
        return f"{self.name} {self.version} ({state or 'complete'})"


def installed() -> list[Installed]:
    """The distributions on `sys.path` that have a package `isotp`. An editable one is not among them."""
    found = {}
    for distribution in distributions():
        if files := _recorded(distribution):
            one = _examined(distribution, files)
            found[one.folder, one.name] = one
    return [found[key] for key in sorted(found)]


def _recorded(distribution: Distribution) -> dict[PurePosixPath, str]:
    """Its files in the package, each with the algorithm and value of its hash; "" if it has none.

    `distribution.files` leaves out missing ones from Python 3.12 on.
    """
    rows = csv.reader((distribution.read_text("RECORD") or "").splitlines())
    files = {PurePosixPath(row[0]): row[1] for row in rows if row}
    return {file: digest for file, digest in files.items() if file.parts[0] == _OURS and file.suffix != ".pyc"}


def _examined(distribution: Distribution, files: dict[PurePosixPath, str]) -> Installed:
    overwritten, missing = [], []
    for file, recorded in files.items():
        path = Path(str(distribution.locate_file(file)))
        name = "/".join(file.parts[1:])
        mode, _, value = recorded.partition("=")
        if not path.is_file():
            missing.append(name)
        elif recorded and urlsafe_b64encode(new(mode, path.read_bytes()).digest()).rstrip(b"=").decode() != value:
            overwritten.append(name)
    folder = Path(str(distribution.locate_file(_OURS)))
    return Installed(distribution.name, distribution.version, folder, tuple(overwritten), tuple(missing))


def _source() -> str:
    """What pip installed this package from, or would: the name alone where that was the index."""
    for distribution in islice(distributions(name=_OURS), 1):
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        if url := origin.get("url"):
            vcs = origin.get("vcs_info", {}).get("vcs")
            is_editable = origin.get("dir_info", {}).get("editable")
            return ("-e " if is_editable else "") + (f"{vcs}+{url}" if vcs else str(url))
    checkout = Path(__file__).parents[3]
    return f"-e {checkout}" if (checkout / "pyproject.toml").is_file() else _OURS


def clash() -> tuple[str, str] | None:
    """What is wrong with the installation, in one sentence, and what to do; None: nothing is."""
    found = installed()
    if all(one.name == _OURS and one.is_complete for one in found):
        return None
    folders = [
        f"{folder} was installed by " + " and by ".join(map(str, those))
        for folder, those in groupby(found, attrgetter("folder"))
    ]
    what = "; ".join(folders)
    pip = f"{sys.executable or 'python'} -m pip"
    names = " ".join(dict.fromkeys(one.name for one in found))
    cure = f"{pip} uninstall {names}; {pip} install {_source()}"
    if len(found) > 1 or found[0].is_complete:
        return what, f"keep one of them: {cure}"
    return f"{what}: another distribution with this package was installed over it, or uninstalled", cure
