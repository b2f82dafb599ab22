"""Links shared over Eclipse Zenoh: an edge does ISO-TP next to the bus, and messages travel.

`Share` offers links, `RemoteSocket` and `AsyncRemoteSocket` (in `isotp`) use them. Needs eclipse-zenoh.
"""

from .access import Access, Client
from .finding import Found, find
from .offer import Offer
from .share import Share

__all__ = ["Access", "Client", "Found", "Offer", "Share", "find"]
