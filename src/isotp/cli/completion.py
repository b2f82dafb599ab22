"""Scripts that complete the command line in a shell, made by shtab from the parsers.

In bash, zsh and fish an INTERFACE is a CAN interface of this machine, asked when it is completed, and a SOURCE that or
a file.
"""

from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from typing import Final

from ..errors import not_installed

_CAN: Final = "sh -c 'cd /sys/class/net && grep -lx 280 */type | cut -d/ -f1' 2>/dev/null"  # 280: ARPHRD_CAN
_PREAMBLE: Final = {
    "bash": f"""\
_isotp_interface() {{ compgen -W "$({_CAN})" -- "$1"; }}
_isotp_source_file() {{ compgen -W "any $({_CAN})" -- "$1"; compgen -f -- "$1"; }}
""",
    "zsh": f"""\
_isotp_interface() {{ compadd -- $({_CAN}) }}
_isotp_source_file() {{ compadd -- any $({_CAN}); _files }}
""",
    "fish": f"""\
function _isotp_interface; {_CAN}; end
function _isotp_source_file; echo any; {_CAN}; __fish_complete_path (commandline -ct); end
""",
}
_INTERFACE: Final = {"bash": "_isotp_interface", "zsh": "_isotp_interface", "fish": "(_isotp_interface)"}
# shtab's bash shows names as those of files where the function has "_file" in its name.
_SOURCE: Final = {"bash": "_isotp_source_file", "zsh": "_isotp_source_file", "fish": "(_isotp_source_file)"}


def script(parser: ArgumentParser, shell: str) -> str:
    """The script for `shell`; `parser` has all commands with their options.

    Raises:
        UnavailableError: shtab is not installed.
    """
    try:
        import shtab
    except ImportError:
        raise not_installed("shtab") from None
    by_metavar = {
        "INTERFACE": _INTERFACE,
        "INTERFACE HEX": _INTERFACE,
        "NAME": _INTERFACE,
        "SOURCE": _SOURCE,
        "FILE": shtab.FILE,
        "PATH": shtab.FILE,
    }
    for command in _commands(parser):
        for action in command._actions:
            if action.metavar in by_metavar:
                action.complete = by_metavar[action.metavar]  # type: ignore[attr-defined]
    made: str = shtab.complete(parser, shell, preamble=_PREAMBLE)  # type: ignore[arg-type]  # its docs allow one for each shell
    return made.replace("complete -o bashdefault ", "complete ")  # which completes with files where nothing fits


def _commands(parser: ArgumentParser) -> Iterator[ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            yield from action.choices.values()
