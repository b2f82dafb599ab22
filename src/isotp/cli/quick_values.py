"""Values of options without pydantic.

typer from 0.27 on turns every value, a plain string too, into its type through pydantic, whose import takes longer
than all else that `isotp send` does. Where typer asks for its converter this gives it one that has no need of that;
where it does not ask (older and maybe newer ones) nothing changes but the time.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import typer

_SIMPLE: Final[dict[Any, Callable[[Any], Any]]] = {str: str, int: int, float: float, Path: Path, bool: bool}


class _Quick:
    """What typer calls a runtime parameter."""

    def __init__(self, param: Any) -> None:
        info, annotation = param.type_descriptor.parameter_info, param.type_descriptor.annotation
        self._convert = info.parser or _SIMPLE.get(str if annotation == list[str] else annotation)
        self._lowest, self._highest = info.min, info.max
        self._typers_own = param.get_runtime_param

    def __call__(self) -> "_Quick":
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """`value` as the parameter's type; None stays None."""
        if param.multiple or param.nargs == -1:
            return tuple(self._one(one, param, ctx) for one in value or ())
        return None if value is None else self._one(value, param, ctx)

    def _one(self, value: Any, param: Any, ctx: Any) -> Any:
        if self._convert is None:
            return self._typers_own().coerce(value, param=param, ctx=ctx)
        try:
            converted = self._convert(value)
        except ValueError as e:
            is_ours = self._convert not in _SIMPLE.values()
            raise typer.BadParameter(str(e) if is_ours else f"{value!r} is not a number", ctx, param) from None
        low, high = self._lowest, self._highest
        if (low is not None and converted < low) or (high is not None and converted > high):
            allowed = f"{low or 0} to {high}" if high is not None else f"{low} or more"
            raise typer.BadParameter(f"{value!r}: allowed is {allowed}", ctx, param)
        return converted


def quicken(params: list[Any]) -> list[Any]:
    """Give parameters converters that need no pydantic where their types are simple; returns `params`."""
    for param in params:
        converter = getattr(param, "get_runtime_param", None)
        if converter is not None and hasattr(param, "type_descriptor") and not isinstance(converter, _Quick):
            param.get_runtime_param = _Quick(param)
    return params
