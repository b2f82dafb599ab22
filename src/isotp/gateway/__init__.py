"""A DoIP gateway: testers on a network reach ECUs on ISO-TP links."""

from .file import GatewayFileError, load_gateway
from .gateway import Gateway
from .listening import tls_context
from .settings import FunctionalTarget, Limits, Permission, Setup, Target, Timers, Tls, Vehicle

__all__ = [
    "FunctionalTarget",
    "Gateway",
    "GatewayFileError",
    "Limits",
    "Permission",
    "Setup",
    "Target",
    "Timers",
    "Tls",
    "Vehicle",
    "load_gateway",
    "tls_context",
]
