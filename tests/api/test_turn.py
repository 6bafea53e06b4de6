from __future__ import annotations

import threading

import pytest

from api.services import Turn


def test_one_thread_at_a_time_and_others_while_it_is_away() -> None:
    turn, order = Turn(cores=2), []
    entered = threading.Event()

    def second() -> None:
        entered.set()
        with turn:
            order.append("second")

    with turn:
        other = threading.Thread(target=second)
        other.start()
        entered.wait()
        order.append("first")
        with turn.away():
            other.join(timeout=10)
        order.append("first again")
    assert order == ["first", "second", "first again"]


def test_it_comes_back_from_away_whatever_happens() -> None:
    turn = Turn(cores=2)
    with pytest.raises(ValueError, match="inside"), turn, turn.away():
        raise ValueError("inside")
    with turn:
        assert turn.cores == 2


def turn_once(turn: Turn) -> None:
    with turn:
        pass


def test_all_cores_are_for_a_thread_that_is_alone() -> None:
    turn = Turn(cores=3)
    with turn:
        assert turn.cores == 3
        waiting = threading.Thread(target=turn_once, args=(turn,))
        waiting.start()
        while turn.cores == 3 and waiting.is_alive():
            pass
        assert turn.cores == 1
    waiting.join()
    with turn:
        assert turn.cores == 3
