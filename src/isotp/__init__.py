r"""ISO-TP (ISO 15765-2) over CAN: the Linux kernel's can-isotp sockets, friendly and honest.

s = isotp.socket()
s.bind("can0", rxid=0x7E8, txid=0x7E0)
s.send(b"\x22\xf1\x90")
print(s.recv())
"""

__version__ = "0.2.0"
_major_version_ = 2  # of can-isotp: udsoncan looks which names it can expect

TYPE_CHECKING = False  # as type checkers take it, without the price of importing typing
if TYPE_CHECKING:
    from . import (
        address,
        bus,
        can_message,
        capture,
        compat,
        engine,
        errors,
        opts,
        protocol,
        remote,
        testing,
        tools,
        tpsock,
    )
    from .address import CAN_EFF_FLAG, Address, AddressingMode, AsymmetricAddress, TargetAddressType
    from .bus.pythoncan import PythonCanBus
    from .bus.socketcan import SocketCanBus
    from .bus.virtual import VirtualBus
    from .checkup.doctor import doctor
    from .compat.can_message import CanMessage
    from .compat.layer import TransportLayer
    from .compat.logic import TransportLayerLogic
    from .compat.stacks import CanStack, NotifierBasedCanStack
    from .errors import (
        AddressError,
        AlreadyBoundError,
        BadGeneratorError,
        BlockingSendFailure,
        BlockingSendTimeout,
        BufferOverflowError,
        BusyError,
        ChangingInvalidRXDLError,
        ConsecutiveFrameTimeoutError,
        DuplicateBindingWarning,
        FlowControlTimeoutError,
        ForbiddenError,
        FrameIgnoredError,
        FrameTooLongError,
        InterfaceDownError,
        InterfaceError,
        InterfaceNotFoundError,
        InvalidCanDataError,
        InvalidCanFdFirstFrameRXDL,
        IsoTpError,
        IsoTpWarning,
        MaximumWaitFrameReachedError,
        MessagesDroppedWarning,
        MessageSizeError,
        MissingEscapeSequenceError,
        N_Result,
        NotACanInterfaceError,
        NotBoundError,
        OneWayError,
        OptionError,
        OptionIgnoredWarning,
        OverflowError,  # noqa: A004
        ReceiveBufferTooSmallError,
        ReceptionInterruptedError,
        ReceptionInterruptedWithFirstFrameError,
        ReceptionInterruptedWithSingleFrameError,
        SocketClosedError,
        TransferAbortedError,
        TransferError,
        TransmitQueueFullError,
        TransmitTimeoutError,
        UnavailableError,
        UnconfirmedSendWarning,
        UnexpectedConsecutiveFrameError,
        UnexpectedFlowControlError,
        UnknownOutcomeError,
        UnsupportedWaitFrameError,
        WrongSequenceNumberError,
    )
    from .functional import Reply, async_functional_request, functional_request
    from .kernel.async_socket import AsyncSocket
    from .kernel.socket import socket
    from .remote.async_socket import AsyncRemoteSocket
    from .remote.socket import RemoteSocket
    from .sockets import MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, AsyncIsoTpSocket, IsoTpSocket, ReceivedMessage
    from .soft.async_socket import AsyncSoftSocket
    from .soft.socket import SoftSocket
    from .stmin import STmin
    from .testing.faults import Faults

__all__ = [
    "CAN_EFF_FLAG",
    "MSG_DONTWAIT",
    "MSG_PEEK",
    "MSG_TRUNC",
    "Address",
    "AddressError",
    "AddressingMode",
    "AlreadyBoundError",
    "AsymmetricAddress",
    "AsyncIsoTpSocket",
    "AsyncRemoteSocket",
    "AsyncSocket",
    "AsyncSoftSocket",
    "BadGeneratorError",
    "BlockingSendFailure",
    "BlockingSendTimeout",
    "BufferOverflowError",
    "BusyError",
    "CanMessage",
    "CanStack",
    "ChangingInvalidRXDLError",
    "ConsecutiveFrameTimeoutError",
    "DuplicateBindingWarning",
    "Faults",
    "FlowControlTimeoutError",
    "ForbiddenError",
    "FrameIgnoredError",
    "FrameTooLongError",
    "InterfaceDownError",
    "InterfaceError",
    "InterfaceNotFoundError",
    "InvalidCanDataError",
    "InvalidCanFdFirstFrameRXDL",
    "IsoTpError",
    "IsoTpSocket",
    "IsoTpWarning",
    "MaximumWaitFrameReachedError",
    "MessageSizeError",
    "MessagesDroppedWarning",
    "MissingEscapeSequenceError",
    "N_Result",
    "NotACanInterfaceError",
    "NotBoundError",
    "NotifierBasedCanStack",
    "OneWayError",
    "OptionError",
    "OptionIgnoredWarning",
    "OverflowError",
    "PythonCanBus",
    "ReceiveBufferTooSmallError",
    "ReceivedMessage",
    "ReceptionInterruptedError",
    "ReceptionInterruptedWithFirstFrameError",
    "ReceptionInterruptedWithSingleFrameError",
    "RemoteSocket",
    "Reply",
    "STmin",
    "SocketCanBus",
    "SocketClosedError",
    "SoftSocket",
    "TargetAddressType",
    "TransferAbortedError",
    "TransferError",
    "TransmitQueueFullError",
    "TransmitTimeoutError",
    "TransportLayer",
    "TransportLayerLogic",
    "UnavailableError",
    "UnconfirmedSendWarning",
    "UnexpectedConsecutiveFrameError",
    "UnexpectedFlowControlError",
    "UnknownOutcomeError",
    "UnsupportedWaitFrameError",
    "VirtualBus",
    "WrongSequenceNumberError",
    "address",
    "async_functional_request",
    "bus",
    "can_message",
    "capture",
    "compat",
    "doctor",
    "engine",
    "errors",
    "functional_request",
    "opts",
    "protocol",
    "remote",
    "socket",
    "testing",
    "tools",
    "tpsock",
]

_MODULES = (
    "address",
    "bus",
    "can_message",
    "capture",
    "compat",
    "engine",
    "errors",
    "opts",
    "protocol",
    "remote",
    "testing",
    "tools",
    "tpsock",
)
# Where a public name lives; it is loaded when first used (PEP 562). All others live in `errors`.
_HOME = {
    "Address": "address",
    "AddressingMode": "address",
    "AsymmetricAddress": "address",
    "AsyncIsoTpSocket": "sockets",
    "AsyncRemoteSocket": "remote.async_socket",
    "AsyncSocket": "kernel.async_socket",
    "AsyncSoftSocket": "soft.async_socket",
    "CAN_EFF_FLAG": "address",
    "CanMessage": "compat.can_message",
    "CanStack": "compat.stacks",
    "Faults": "testing.faults",
    "IsoTpSocket": "sockets",
    "MSG_DONTWAIT": "sockets",
    "MSG_PEEK": "sockets",
    "MSG_TRUNC": "sockets",
    "NotifierBasedCanStack": "compat.stacks",
    "PythonCanBus": "bus.pythoncan",
    "ReceivedMessage": "sockets",
    "RemoteSocket": "remote.socket",
    "Reply": "functional",
    "STmin": "stmin",
    "SocketCanBus": "bus.socketcan",
    "SoftSocket": "soft.socket",
    "TargetAddressType": "address",
    "TransportLayer": "compat.layer",
    "TransportLayerLogic": "compat.logic",
    "VirtualBus": "bus.virtual",
    "async_functional_request": "functional",
    "doctor": "checkup.doctor",
    "functional_request": "functional",
    "socket": "kernel.socket",
}


if not TYPE_CHECKING:  # so that type checkers see a misspelt name

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        try:
            if name in _MODULES:
                return import_module(f".{name}", __name__)
            value = getattr(import_module(f".{_HOME.get(name, 'errors')}", __name__), name)
        except (ImportError, AttributeError) as e:
            from .checkup.installation import clash

            if (found := clash()) is None:
                raise
            raise ImportError(f"{found[0]}; to do: {found[1]}") from e
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
