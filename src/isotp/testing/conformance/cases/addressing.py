"""Addressing: how N_AI is in the frames, and which frames are for others (8.3.2.4, 10.3)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from ....address import Address
from ..case import Case, Send, Setup, Silence, message
from .frames import receive, sends, sent, sf_max
from .segmentation import send_steps
from .unexpected import REQUEST

_ID: Final = 0x18000000
_FIXED: Final = Address.normal_fixed(target_address=0xF1, source_address=0x33, functional=True)
_TA, _SA = 0xF1, 0x10
_CLAUSE: Final = "10.3"
_MODES: Final = {
    "normal 11 bits": Address.normal(rxid=0x123, txid=0x456),
    "normal 29 bits": Address.normal(rxid=_ID, txid=_ID + 1),
    "normal fixed": Address.normal_fixed(target_address=_TA, source_address=_SA),
    "extended 11 bits": Address.extended(rxid=0x6F1, txid=0x610, target_address=_TA, source_address=_SA),
    "extended 29 bits": Address.extended(rxid=_ID, txid=_ID + 1, target_address=_TA, source_address=_SA),
    "mixed 11 bits": Address.mixed_11bits(rxid=0x6F1, txid=0x610, address_extension=0x99),
    "mixed 29 bits": Address.mixed_29bits(target_address=_TA, source_address=_SA, address_extension=0x99),
}


def _mode(name: str, address: Address) -> Iterator[Case]:
    rx = address.rx
    assert rx is not None
    size = 0 if rx.address_byte is None else 1
    for can_fd, tx_dl in ((False, 8), (True, 64)):
        setup = Setup(address=address, can_fd=can_fd, tx_dl=tx_dl)
        kind = " CAN FD" if can_fd else ""
        most = sf_max(tx_dl, size)
        for count in (1, most, most + 1, 200):
            data = message(count)
            yield Case(
                name=f"address/{name}{kind}/send {count} bytes",
                clause=_CLAUSE,
                what="Every frame has the identifier and the address byte of the receiver.",
                setup=setup,
                steps=send_steps(data, tx_dl, address_size=size),
            )
            yield Case(
                name=f"address/{name}{kind}/receive {count} bytes",
                clause=_CLAUSE,
                what="Frames with the identifier and the address byte of the subject are received.",
                setup=setup,
                steps=receive(data, tx_dl, address_size=size),
            )
    yield from _others(name, address, size)


def _others(name: str, address: Address, size: int) -> Iterator[Case]:
    rx, tx = address.rx, address.tx
    assert rx is not None
    assert tx is not None
    is_29bit = address.addressing_mode.is_29bit
    digits = 8 if is_29bit else 3
    can_id = rx.can_id & 0x1FFFFFFF
    byte = "" if rx.address_byte is None else f"/{rx.address_byte:02X}"
    strangers = {
        "another identifier": f"{can_id ^ 0x10:0{digits}X}{byte}",
        "the identifier of the answers": f"{tx.can_id & 0x1FFFFFFF:0{digits}X}{byte}",
    }
    if rx.address_byte is not None:
        strangers["another address byte"] = f"{can_id:0{digits}X}/{rx.address_byte ^ 1:02X}"
    if not is_29bit:
        strangers["the same identifier in 29 bits"] = f"{can_id:08X}{byte}"
    for what, where in strangers.items():
        yield Case(
            name=f"address/{name}/{what}",
            clause=_CLAUSE,
            what="Frames with another N_AI are for others, and ignored.",
            setup=Setup(address=address),
            steps=(
                *(Send(f"{where}: SF 01 02"), Send(f"{where}: {sent(message(20), address_size=size)[0]}")),
                *(Silence(), *receive(REQUEST, address_size=size)),
            ),
        )
    if size:
        yield Case(
            name=f"address/{name}/SF_DL 7",
            clause="9.6.2.2",
            what="The greatest SF_DL is 6 where an address byte is in each frame; 7 is ignored.",
            setup=Setup(address=address),
            steps=(Send("07 01 02 03 04 05 06"), *receive(REQUEST, address_size=1), Silence()),
        )


def functional() -> Iterator[Case]:
    """Functional addressing is for single frames."""
    for name, address in (
        ("normal", Address.normal(rxid=0x7DF, functional=True)),
        ("normal fixed", replace(_FIXED, rx_only=True, tx_only=False)),
    ):
        setup = Setup(address=address)
        yield Case(
            name=f"address/functional {name}/SF",
            clause="8.3.2.4",
            what="A single frame by functional addressing is received.",
            setup=setup,
            steps=receive(REQUEST),
        )
        yield Case(
            name=f"address/functional {name}/FF",
            clause="8.3.2.4",
            what="A first frame by functional addressing is ignored.",
            setup=setup,
            steps=(*sends(sent(message(20))), Silence(), *receive(REQUEST)),
        )
        yield Case(
            name=f"address/functional {name}/FF that is too long",
            clause="8.3.2.4",
            what="A first frame by functional addressing is ignored: there is no OVFLW, either.",
            setup=setup,
            steps=(Send("FF 1073741824 01 02"), Silence(), *receive(REQUEST)),
        )


def cases() -> Iterator[Case]:
    """All of this subject."""
    for name, address in _MODES.items():
        yield from _mode(name, address)
    yield from functional()
