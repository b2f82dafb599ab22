"""The tree of errors: one for both worlds."""

import copy
import errno
import inspect
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

import isotp
from isotp import errors
from isotp.errors import ERRNO_TO_ERROR, IsoTpError, IsoTpWarning, N_Result, TransferError

SRC = Path(isotp.__file__).parents[1]


T = TypeVar("T")


def tree(root: type[T]) -> list[type[T]]:
    found = [root]
    for child in root.__subclasses__():
        found += tree(child)
    return found


ERRORS = sorted(set(tree(IsoTpError)), key=lambda c: c.__name__)

TABLE = {
    isotp.TransmitTimeoutError: ("N_TIMEOUT_A", "ECOMM"),
    isotp.FlowControlTimeoutError: ("N_TIMEOUT_Bs", "ECOMM"),
    isotp.ConsecutiveFrameTimeoutError: ("N_TIMEOUT_Cr", "ETIMEDOUT"),
    isotp.WrongSequenceNumberError: ("N_WRONG_SN", "EILSEQ"),
    isotp.InvalidCanDataError: ("N_INVALID_FS", "EBADMSG"),
    isotp.ReceptionInterruptedError: ("N_UNEXP_PDU", "EBADMSG"),
    isotp.ReceptionInterruptedWithSingleFrameError: ("N_UNEXP_PDU", "EBADMSG"),
    isotp.ReceptionInterruptedWithFirstFrameError: ("N_UNEXP_PDU", "EBADMSG"),
    isotp.MaximumWaitFrameReachedError: ("N_WFT_OVRN", "ECOMM"),
    isotp.BufferOverflowError: ("N_BUFFER_OVFLW", "EMSGSIZE"),
    isotp.FrameTooLongError: ("N_BUFFER_OVFLW", "EMSGSIZE"),
    isotp.BadGeneratorError: ("N_ERROR", "EINVAL"),
    isotp.TransferAbortedError: ("N_ERROR", "ECANCELED"),
    isotp.UnknownOutcomeError: ("N_ERROR", "EIO"),
    isotp.TransferError: ("N_ERROR", "EIO"),
}
OTHERS = {
    isotp.IsoTpError: "EIO",
    isotp.InterfaceError: "ENODEV",
    isotp.InterfaceNotFoundError: "ENODEV",
    isotp.NotACanInterfaceError: "ENODEV",
    isotp.InterfaceDownError: "ENETDOWN",
    isotp.TransmitQueueFullError: "ENOBUFS",
    isotp.UnavailableError: "EPROTONOSUPPORT",
    isotp.AddressError: "EINVAL",
    isotp.OptionError: "EINVAL",
    isotp.MessageSizeError: "EINVAL",
    isotp.AlreadyBoundError: "EISCONN",
    isotp.BusyError: "EAGAIN",
    isotp.NotBoundError: "EADDRNOTAVAIL",
    isotp.SocketClosedError: "EBADF",
    isotp.OneWayError: "EOPNOTSUPP",
    isotp.ForbiddenError: "EACCES",
    isotp.ReceiveBufferTooSmallError: "EMSGSIZE",
    isotp.FrameIgnoredError: "EBADMSG",
    isotp.UnexpectedFlowControlError: "EBADMSG",
    isotp.UnexpectedConsecutiveFrameError: "EBADMSG",
    isotp.UnsupportedWaitFrameError: "EBADMSG",
    isotp.MissingEscapeSequenceError: "EBADMSG",
    isotp.ChangingInvalidRXDLError: "EBADMSG",
    isotp.InvalidCanFdFirstFrameRXDL: "EBADMSG",
    isotp.BlockingSendFailure: "EIO",
    isotp.BlockingSendTimeout: "EAGAIN",
}


def test_the_tables_are_complete() -> None:
    assert {c for c in ERRORS if c.__module__ == errors.__name__} == {*TABLE, *OTHERS}
    assert {c for c in ERRORS if issubclass(c, TransferError) and c.__module__ == errors.__name__} == {*TABLE}
    told = {c.n_result for c in TABLE}
    assert told == set(N_Result) - {N_Result.N_OK}


@pytest.mark.parametrize(("cls", "row"), TABLE.items(), ids=lambda x: getattr(x, "__name__", ""))
def test_n_result_and_errno(cls: type[TransferError], row: tuple[str, str]) -> None:
    result, name = row
    error = cls("broken")
    assert error.n_result is N_Result[result]
    if hasattr(errno, name):  # macOS has no ECOMM
        assert error.errno == getattr(errno, name)
        assert str(error) == f"broken ({result}, {name})"


@pytest.mark.parametrize(("cls", "name"), OTHERS.items(), ids=lambda x: getattr(x, "__name__", x))
def test_errno_of_all_others(cls: type[IsoTpError], name: str) -> None:
    error = cls("broken")
    assert error.n_result is None
    assert error.errno == getattr(errno, name)
    assert str(error) == f"broken ({name})"


@pytest.mark.parametrize("cls", ERRORS)
def test_an_oserror_and_none_of_its_builtin_kin(cls: type[IsoTpError]) -> None:
    """An `except TimeoutError` must never catch a broken transfer, nor `except BlockingIOError` anything of ours."""
    with pytest.raises(OSError, match=r"^broken") as caught:
        raise cls("broken")
    assert type(caught.value) is cls
    assert caught.value.strerror == "broken"
    assert caught.value.args == (cls.default_errno, "broken")
    kin = {c for c in tree(OSError) if c.__module__ == "builtins"} - {OSError}
    assert TimeoutError in kin
    assert not kin & set(cls.__mro__)


def test_wrong_values_are_value_errors() -> None:
    found = {c for c in ERRORS if issubclass(c, ValueError) and c.__module__ == errors.__name__}
    assert found == {isotp.AddressError, isotp.OptionError, isotp.MessageSizeError}


def test_wrong_order_is_a_runtime_error() -> None:
    """As in can-isotp 2."""
    found = {c for c in ERRORS if issubclass(c, RuntimeError)}
    assert found == {isotp.AlreadyBoundError, isotp.NotBoundError}


def test_the_kernels_errno_is_the_class_own() -> None:
    """What the kernel reports and what the class carries are the same number."""
    for number, cls in ERRNO_TO_ERROR.items():
        assert cls.default_errno == number, cls
    assert len(ERRNO_TO_ERROR) == 7


def test_str_has_a_line_for_each_thing() -> None:
    error = isotp.FlowControlTimeoutError("no answer", link="can0 rxid=0x7E8 txid=0x7E0", remedy="wake it")
    head, *rest = str(error).splitlines()
    assert head.startswith("no answer (N_TIMEOUT_Bs, ")
    assert rest == ["  link: can0 rxid=0x7E8 txid=0x7E0", "  to do: wake it"]
    assert str(isotp.OptionError("no", remedy="yes")).splitlines()[1:] == ["  to do: yes"]
    assert str(isotp.OptionError("no", link="vcan0")).splitlines()[1:] == ["  link: vcan0"]


def test_another_errno() -> None:
    error = isotp.UnavailableError("no", errno=errno.EPERM)
    assert error.errno == errno.EPERM
    assert str(error) == "no (EPERM)"
    assert str(isotp.IsoTpError("no", errno=99999)) == "no (errno 99999)"


@pytest.mark.parametrize("cls", ERRORS)
@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_copies_keep_everything(cls: type[IsoTpError], how: Callable[[IsoTpError], IsoTpError]) -> None:
    error = cls("broken", link="can0", remedy="mend it", errno=errno.EPERM)
    error.add_note("seen twice")
    error.__dict__.update(needed=10, given=4, missing="python")
    twin = how(error)
    assert type(twin) is cls
    assert twin is not error
    assert twin.args == error.args
    assert (twin.errno, twin.strerror, str(twin)) == (error.errno, error.strerror, str(error))
    assert twin.__dict__ == error.__dict__
    twin.remedy = "another"
    assert error.remedy == "mend it"


def test_all_are_public() -> None:
    ours = {c.__name__ for c in [*ERRORS, *tree(IsoTpWarning)] if c.__module__ == errors.__name__}
    assert ours <= set(isotp.__all__)


def test_what_is_said_more_has_defaults() -> None:
    assert isotp.UnavailableError("no").missing == "kernel"
    small = isotp.ReceiveBufferTooSmallError("no")
    assert (small.needed, small.given) == (0, 0)


# --- warnings


def in_package(source: str, name: str) -> dict[str, object]:
    """Run source as module `name` of this package would run."""
    namespace: dict[str, object] = {"__name__": name, "warn": errors.warn, "category": isotp.OptionIgnoredWarning}
    exec(compile(source, f"<{name}>", "exec"), namespace)
    return namespace


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_warn_points_at_the_line_outside(depth: int) -> None:
    source = "def f0(): warn('ignored', category)\n"
    source += "".join(f"def f{i}(): f{i - 1}()\n" for i in range(1, depth))
    call = in_package(source, "isotp.kernel.made_up")[f"f{depth - 1}"]
    assert callable(call)
    with pytest.warns(isotp.OptionIgnoredWarning, match="ignored") as caught:
        call()
    first = test_warn_points_at_the_line_outside.__code__.co_firstlineno
    source_lines = inspect.getsource(test_warn_points_at_the_line_outside).splitlines()
    assert [(w.filename, source_lines[w.lineno - first].strip()) for w in caught] == [(__file__, "call()")]


def test_a_name_that_only_begins_alike_is_outside() -> None:
    inner = in_package("def f(): warn('ignored', category)", "isotp.opts")["f"]
    outer = in_package("def g(f): f()", "isotp_user")["g"]
    assert callable(outer)
    with pytest.warns(isotp.OptionIgnoredWarning) as caught:
        outer(inner)
    assert caught[0].filename == "<isotp_user>"


@pytest.mark.parametrize("category", [c for c in tree(IsoTpWarning) if c is not IsoTpWarning])
def test_warnings_are_shown_by_default(category: type[IsoTpWarning]) -> None:
    assert issubclass(category, UserWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("error", IsoTpWarning)
        with pytest.raises(category):
            errors.warn("told", category)


# --- other platforms


def test_errno_names_on_other_platforms() -> None:
    """Linux's number stands in where a platform lacks an errno, and is not called by that platform's name."""
    code = """
import errno
del errno.ECOMM
errno.errorcode[70] = "ESTALE"  # as on macOS
from isotp.errors import ECOMM, FlowControlTimeoutError
assert ECOMM == 70, ECOMM
assert FlowControlTimeoutError("x").errno == 70
print(FlowControlTimeoutError("x"))
"""
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(SRC)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ESTALE" not in done.stdout
    assert "N_TIMEOUT_Bs" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="compares with this platform's errno")
def test_missing_errnos_have_the_numbers_of_linux() -> None:
    code = """
import errno
names = [n for n in dir(errno) if n.startswith("E") and n not in ("EAGAIN", "EIO", "ENODEV", "EINVAL", "EBADF")]
real = {n: errno.__dict__.pop(n) for n in names}
from isotp import errors
ours = {n: getattr(errors, n) for n in dir(errors) if n in real}
assert len(ours) == 13, sorted(ours)
assert ours == {n: real[n] for n in ours}, ours
"""
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(SRC)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
