"""The parts of the command line depend on each other in one direction."""

from ..test_imports import imports, modules

# Each part may import itself and those after it.
LAYERS = ["main", "commands", "links", "options", "status", "parser", "output"]


def part(dotted: str) -> int | None:
    """Which layer a dotted name belongs to; None outside the command line."""
    names = dotted.split(".")
    return LAYERS.index(names[2]) if names[:2] == ["isotp", "cli"] and names[2:3] and names[2] in LAYERS else None


def test_dependencies_point_down() -> None:
    seen, broken = set(), []
    for path, module, is_package in modules():
        here = part(module)
        if here is None:
            continue
        seen.add(here)
        for name in imports(path.read_text(encoding="utf-8"), module, is_package):
            there = part(name)
            if there is not None and there < here:
                broken.append(f"{module} imports {name}")
    assert seen == set(range(len(LAYERS)))
    assert broken == []
