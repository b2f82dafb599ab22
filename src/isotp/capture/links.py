"""Which identifiers are of links, and which of them belong together: as named, as recorded, or as found so far."""

from collections.abc import Iterable
from typing import Final

from ..address import Address, AsymmetricAddress, CanAddress
from .finder import LinkFinder
from .standards import Key, is_functional, usual_partner

_NONE: Final[tuple[Key, ...]] = ()


class Links:
    """What all have in common: the partner of an identifier is the one whose flow control answers it.

    One may be the partner of several: a tester that sends all requests, and flow control, with one identifier.
    """

    def __init__(self) -> None:
        self._partners: dict[Key, Key] = {}
        self._served: dict[Key, list[Key]] = {}  # the same, seen from the partner

    def key(self, channel: str, can_id: int, data: bytes) -> Key | None:
        """The key of a frame of a link; None if it is of none."""
        raise NotImplementedError

    def partner(self, key: Key) -> Key | None:
        """Whose flow control answers `key`, as far as is known."""
        raise NotImplementedError

    def is_clear(self, key: Key) -> bool:
        """Whether the partner is certain enough to be shown."""
        return True

    def settle(self, key: Key) -> list[Key]:
        """Note the partner of `key`, which may be another one than before; returns whose target may have changed."""
        old, new = self._partners.get(key), self.partner(key)
        if old != new:
            self.forget(key)
            if new is not None:
                self._partners[key] = new
                self._served.setdefault(new, []).append(key)
        return [each for each in (key, old, new) if each is not None]

    def forget(self, key: Key) -> None:
        """Keep nothing about the partner of `key`."""
        partner = self._partners.pop(key, None)
        if partner is not None:
            self._served[partner].remove(key)
            if not self._served[partner]:
                del self._served[partner]

    def served(self, key: Key) -> Iterable[Key]:
        """Whose messages the flow control of `key` answers."""
        return self._served.get(key, _NONE)

    def target(self, key: Key) -> CanAddress | None:
        """Where the messages of `key` go: to its partner; None if to many, or as long as that is not clear."""
        served = self._served.get(key, _NONE)
        if is_functional(key[1]) or len(served) > 1 or not self.is_clear(key):
            return None
        partner = self._partners.get(key) or (served[0] if served else None)
        return CanAddress(*partner[1:]) if partner is not None else None


class NamedLinks(Links):
    """Those that the user named; they are the same on each channel.

    Args:
        addresses: one of each link; a half follows one direction.
    """

    def __init__(self, addresses: Iterable[Address | AsymmetricAddress]) -> None:
        super().__init__()
        self._halves: dict[CanAddress, set[CanAddress]] = {}
        for address in addresses:
            for ours, theirs in ((address.tx, address.rx), (address.rx, address.tx)):
                if ours is not None:
                    self._halves.setdefault(ours, set()).update({theirs} if theirs is not None else set())
        self._has_byte = {half.can_id: half.address_byte is not None for half in self._halves}

    def key(self, channel: str, can_id: int, data: bytes) -> Key | None:
        """See `Links`."""
        has_byte = self._has_byte.get(can_id)
        if has_byte is None:
            return None
        if not has_byte:
            return channel, can_id
        return (channel, can_id, data[0]) if data and CanAddress(can_id, data[0]) in self._halves else None

    def partner(self, key: Key) -> Key | None:
        """See `Links`; None where one identifier is of several links, or none was named."""
        partners = self._halves[CanAddress(*key[1:])]
        if len(partners) != 1:
            return None
        ((can_id, address_byte),) = partners
        return (key[0], can_id) if address_byte is None else (key[0], can_id, address_byte)

    def settle(self, key: Key) -> list[Key]:
        """See `Links`: the partner has its own, though it may never be seen."""
        partner = self.partner(key)
        return super().settle(key) + (super().settle(partner) if partner is not None else [])


class FoundLinks(Links):
    """Those that a finder has found.

    Args:
        finder: one that has seen the whole recording, or sees each frame before it is asked.
        is_live: whether it is the latter.
    """

    def __init__(self, finder: LinkFinder, is_live: bool) -> None:
        super().__init__()
        self._finder = finder
        self._is_live = is_live
        self._answers = {} if is_live else finder.answers()
        self.ids: set[tuple[str, int]] | None = None
        """All identifiers that are of links; None if there may be more."""
        if not is_live:
            keys = finder.keys()
            self.ids = {key[:2] for key in keys}
            for key in keys:
                self.settle(key)

    def key(self, channel: str, can_id: int, data: bytes) -> Key | None:
        """See `Links`."""
        key = self._finder.key(channel, can_id, data) if data else (channel, can_id)
        return key if key in self._finder else None

    def partner(self, key: Key) -> Key | None:
        """See `Links`: by a proof, else by requests and responses, else by the standards."""
        finder = self._finder
        answering = finder.answering(key) if self._is_live else self._answers.get(key)
        if answering is not None:
            return answering
        if (other := finder.talking(key)) is not None:
            return other
        usual = usual_partner(key)
        return usual if usual is not None and usual in finder else None

    def is_clear(self, key: Key) -> bool:
        """See `Links`."""
        return self._finder.is_clear(key)

    def settle_all(self, keys: Iterable[Key]) -> list[Key]:
        """`settle` for some that something new is known of, and for those that it may concern."""
        changed = []
        for key in keys:
            for each in (key, usual_partner(key), self._finder.talking(key)):
                if each is not None and each in self._finder:
                    changed += self.settle(each)
        return changed
