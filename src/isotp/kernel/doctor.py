"""isotp.doctor."""


def doctor() -> int:
    """To come."""
    return 0
