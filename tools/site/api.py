"""Where names are documented: `isotp.soft.socket.SoftSocket` is on the page as `isotp.SoftSocket`."""

from typing import Any, Final

PUBLIC: Final = (
    *("isotp", "isotp.errors", "isotp.opts", "isotp.engine", "isotp.bus", "isotp.capture", "isotp.testing"),
    *("isotp.testing.conformance", "isotp.clients.udsoncan", "isotp.compat"),
)
"""The modules under whose names the reference has something."""


def resolve(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Sphinx's `missing-reference`: the link to the public name of something.

    A type in a signature need not be public: then it is the text alone. For a name in a docstring that leads nowhere it
    is None, and Sphinx complains.
    """
    if node.get("refdomain") != "py" or not node["reftarget"].startswith("isotp."):
        return None
    domain = env.get_domain("py")
    name = node["reftarget"].rpartition(".")[2]
    for target in (f"{module}.{name}" for module in PUBLIC):
        if target in domain.objects:
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, content)
    return content if node["reftype"] == "class" else None


def mark_code(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Sphinx's `autodoc-process-docstring`: an indented block after an empty line is code, as in our docstrings."""
    done: list[str] = []
    for line in lines:
        before = next((one for one in reversed(done) if one), "")
        if line.startswith("    ") and done and not done[-1] and before and before[0] not in " -:":
            done += ["::", ""]
        done.append(line)
    lines[:] = done
