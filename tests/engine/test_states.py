from enum import Enum
from typing import Any

import pytest

from isotp.engine.states import RECEIVER, SENDER, ReceiverInput, ReceiverState, SenderInput, SenderState

TABLES: list[Any] = [
    pytest.param(SENDER, SenderState, SenderInput, id="sender"),
    pytest.param(RECEIVER, ReceiverState, ReceiverInput, id="receiver"),
]


@pytest.mark.parametrize(("table", "states", "inputs"), TABLES)
def test_every_state_has_a_row_and_every_input_a_use(
    table: dict[Enum, dict[Enum, Enum]], states: type[Enum], inputs: type[Enum]
) -> None:
    assert set(table) == set(states)
    assert {what for row in table.values() for what in row} == set(inputs)


def test_consecutive_frames_count_once_the_application_is_ready() -> None:
    taking = {state for state, row in RECEIVER.items() if ReceiverInput.COMPLETE in row}
    assert taking == {ReceiverState.CTS_DUE, ReceiverState.CTS_OUT, ReceiverState.WAIT_CF}


@pytest.mark.parametrize(("table", "states", "inputs"), TABLES)
def test_every_state_is_reached_and_left_for_idle(
    table: dict[Enum, dict[Enum, Enum]], states: Any, inputs: type[Enum]
) -> None:
    def reach(start: Enum) -> set[Enum]:
        seen: set[Enum] = set()
        todo = [start]
        while todo:
            state = todo.pop()
            if state not in seen:
                seen.add(state)
                todo += table[state].values()
        return seen

    assert reach(states.IDLE) == set(states)
    assert all(states.IDLE in reach(state) for state in states)
