"""Which distributions have installed a package `isotp`, and whether their files are still there.

`can-isotp` has the import name `isotp`, too. pip does not notice: the one that is installed second overwrites files of
the first, and the one that is uninstalled takes files of the other along. This module imports nothing of the package,
so it works in what is left of it.
"""

import json
import sys
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import new
from importlib.metadata import Distribution, PackagePath, distributions
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
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
        files = [file for file in distribution.files or () if file.parts[0] == _OURS and file.suffix != ".pyc"]
        if files:
            one = _examined(distribution, files)
            found[one.folder, one.name] = one
    return [found[key] for key in sorted(found)]


def _examined(distribution: Distribution, files: list[PackagePath]) -> Installed:
    overwritten, missing = [], []
    for file in files:
        path = Path(str(distribution.locate_file(file)))
        name = "/".join(file.parts[1:])
        if not path.is_file():
            missing.append(name)
        elif file.hash is not None:  # of the content, in the spelling of RECORD
            digest = urlsafe_b64encode(new(file.hash.mode, path.read_bytes()).digest())
            if digest.rstrip(b"=").decode() != file.hash.value:
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
