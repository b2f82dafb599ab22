import doctest

from isotp import engine


def test_the_example_works() -> None:
    done = doctest.testmod(engine)
    assert done.attempted
    assert not done.failed
