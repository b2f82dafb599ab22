"""Packages from the machine's own mirror: of its own suite, or of another one beside it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from . import NotRunError, say

LISTS_MAX_AGE_S = 24 * 3600

# A private configuration does not change the machine's own lists and state, and needs no root. Update
# hooks of a desktop are not for lists that only this tool reads.
CONF = """\
Dir::State "{dir}/state";
Dir::State::lists "{dir}/lists";
Dir::Cache "{dir}/cache";
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "{dir}/sources";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""
SOURCE = """\
Types: deb
URIs: {site}
Suites: {suite}
Components: main
Targets: Packages
"""
KEYRINGS = ("debian-archive-keyring", "ubuntu-archive-keyring")


class AptError(NotRunError):
    """apt-get failed; the message ends with its last lines."""


class Apt:
    """apt-get and apt-cache with the machine's own configuration, or with a private one."""

    def __init__(self, cache: Path, private: Path | None = None) -> None:
        self.private = private
        self.lists = private / "lists" if private else Path("/var/lib/apt/lists")
        self.env = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        # An index of the lists saves a second; container images configure apt without one.
        self.options = ["-o", f"Dir::Cache::pkgcache={private or cache}/pkgcache.bin"]
        self.options += ["-o", "Dir::Cache::srcpkgcache="]
        # As root apt would download as another user, which may not write into our folder.
        self.options += ["-q", "-o", "APT::Sandbox::User=root"]
        if private:  # not APT_CONFIG: that one is read before the machine's own files
            self.options += ["-c", f"{private}/apt.conf"]

    def run(self, program: str, *words: str, cwd: Path | None = None) -> str:
        """Run an apt program; returns what it printed, or raises AptError with its last lines."""
        command = (program, *self.options, *words)
        try:
            done = subprocess.run(
                command, check=False, env=self.env, cwd=cwd, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, errors="replace",
            )  # fmt: skip
        except FileNotFoundError:
            raise NotRunError(f"{program} is missing: a VM needs Debian or Ubuntu (see --help)") from None
        if done.returncode:
            errors = [x for x in done.stderr.splitlines() if x.startswith("E:")] or [done.stderr]
            why = "\n  ".join(errors[-3:]).strip()
            raise AptError(f"{program} {' '.join(words)} failed:\n  {why}")
        return done.stdout

    def updated(self) -> float:
        """When the lists were fetched, in seconds since the epoch; 0.0: there are none."""
        return self.lists.stat().st_mtime if self.lists.exists() else 0.0

    def depends(self, package: str) -> list[str] | None:
        """Names of the packages that a package depends on (the first of alternatives); None: it is not known."""
        try:
            return parse_depends(self.run("apt-cache", "show", "--no-all-versions", package))
        except AptError:
            return None

    def update(self) -> None:
        """Fetch new package lists."""
        # If another source in the machine's configuration fails, that does not matter here.
        strict = ("-o", "APT::Update::Error-Mode=any") if self.private else ()
        for left in reversed(range(30)):
            try:
                self.run("apt-get", "update", *strict)
                return
            except AptError as error:
                if "NO_PUBKEY" in str(error) or "is not signed" in str(error):
                    raise NotRunError(
                        f"{error}\nThe keys of this suite are not known here: install its archive"
                        " keyring package (debian-archive-keyring, newer), then try again"
                    ) from None
                if "lists/lock" not in str(error) or not left:
                    raise
                time.sleep(2)  # another apt-get update is at work

    def download(self, packages: list[str], into: Path) -> None:
        """Put the .deb files of packages into a folder."""
        self.run("apt-get", "download", *packages, cwd=into)

    def install(self, packages: list[str]) -> None:
        """Install packages on this machine, as root."""
        words = ("-y", "-o", "DPkg::Lock::Timeout=300", "--no-install-recommends", *packages)
        try:
            self.run("apt-get", "install", *words)
        except AptError:  # lists missing or out of date
            self.update()
            self.run("apt-get", "install", *words)


def parse_depends(show: str) -> list[str]:
    """Package names in the Depends fields of `apt-cache show`, first alternatives only."""
    fields = re.findall(r"^(?:Pre-)?Depends: (.*)$", show, re.MULTILINE)
    return [re.split(r"[\s:(|]", entry.strip())[0] for field in fields for entry in field.split(",")]


def sources(cache: Path, suite: str) -> Iterator[Apt]:
    """The package lists to look in, one after the other."""
    if suite:
        apt = private(cache, suite)
        yield apt
        apt.update()
        yield apt
        return
    apt = Apt(cache)
    yield apt
    if os.geteuid() == 0:
        apt.update()
        yield apt
    else:
        yield private(cache, platform.freedesktop_os_release().get("VERSION_CODENAME", "stable"))


def private(cache: Path, suite: str) -> Apt:
    """Package lists of another suite on the machine's mirror, at most a day old."""
    folder = cache / "apt" / suite
    for sub in ("state", "lists/partial", "cache/archives/partial", "sources"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    (folder / "state/status").touch()
    (folder / "apt.conf").write_text(CONF.format(dir=folder))
    source = SOURCE.format(site=mirror(cache, suite), suite=suite)
    keyrings = [f"/usr/share/keyrings/{name}.gpg" for name in KEYRINGS]
    if known := [path for path in keyrings if os.path.exists(path)]:
        source += f"Signed-By: {' '.join(known)}\n"
    (folder / "sources/suite.sources").write_text(source)
    apt = Apt(cache, folder)
    stamp = folder / "updated"
    if not stamp.exists() or time.time() - stamp.stat().st_mtime > LISTS_MAX_AGE_S:
        try:
            apt.update()
            stamp.touch()
        except AptError as error:
            if not stamp.exists():
                raise NotRunError(f"no package lists for {suite!r}: {error}") from None
            say(f"using older package lists of {suite}: {error}")
    return apt


def mirror(cache: Path, suite: str) -> str:
    """The site of the distribution in this machine's configuration."""
    words = ("indextargets", "--format", "$(SITE)\t$(ORIGIN)\t$(RELEASE)", "Created-By: Packages")
    # sources without downloaded lists are only listed without the fields of their Release files
    printed = Apt(cache).run("apt-get", *words) or Apt(cache).run("apt-get", "--no-release-info", *words)
    rows = [line.split("\t") for line in printed.splitlines()]
    own = [row for row in rows if row[1] in ("Debian", "Ubuntu")] or rows
    security = "security" in suite
    alike = [row for row in own if ("security" in row[0] + row[2]) == security] or own
    if not alike:
        raise NotRunError("apt has no package sources here (`apt-get indextargets` prints nothing)")
    return alike[0][0]


def unpack(debs: list[Path], into: Path, patterns: list[str]) -> None:
    """Extract the files that match the patterns from .deb files."""
    tar = shutil.which("tar") or "tar"
    for deb in debs:
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as source:
            # A pattern that one package lacks is no error: the caller checks what must be there.
            subprocess.run(
                [tar, "-x", "-C", into, "--wildcards", "--no-anchored", *patterns],
                stdin=source.stdout, stderr=subprocess.DEVNULL, check=False,
            )  # fmt: skip
