"""The ledger on its disk: what it counts over restarts, crashes, full disks and damaged files."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshfleet.fleet.usage import NOTHING, Counted, Daily, Figures, Usage
from meshfleet.node.ledger import LEDGER, Kept, Ledger, Seen, is_damage

if TYPE_CHECKING:
    from pathlib import Path

TODAY = "2026-11-25"
ONE, TWO = b"ledger-1", b"ledger-2"


def seen(cost: int, session: str | None = "s1", agent: str = "box/a", day: str = TODAY, **more: object) -> Seen:
    said = Figures(cost, 10 * cost, cost)
    return Seen(agent, session, "some-model", "python", said, day, **more)  # type: ignore[arg-type]  # as in the test


def total(ledger: Ledger) -> Usage:
    return ledger.periods(1).get("2026-11-01", NOTHING)


def opened(folder: Path, node: str = "n1", new_id: bytes = ONE) -> Ledger:
    return Ledger.open(folder / LEDGER, node, new_id)


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from(["s1", "s2", "s3"]), st.integers(0, 50), st.booleans()), max_size=12),
)
def test_whatever_is_repeated_over_however_many_restarts_each_session_counts_once(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[str, int, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    ledger, greatest = opened(folder), dict[str, int]()
    for session, cost, restart in told:
        ledger.record([seen(cost, session)], TODAY)
        greatest[session] = max(cost, greatest.get(session, 0))
        if restart:
            ledger.close()
            ledger = opened(folder, new_id=TWO)
            assert ledger.id == ONE
    assert total(ledger).cost == sum(greatest.values())
    assert sum(line.used.cost for line in ledger.lines("2026-11-01", "2026-12-01")) == sum(greatest.values())
    ledger.close()


def test_a_crash_at_any_moment_loses_nothing_that_was_recorded_and_counts_nothing_twice(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.node.test_ledger import opened, seen\n"
        "ledger = opened(Path(sys.argv[1]))\n"
        "for cost in range(1, 100_000):\n"
        "    ledger.record([seen(cost)], '2026-11-25'); print(cost, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(50)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    ledger = opened(tmp_path)
    whole = [int(line) for line in lines if line.endswith("\n")]
    assert total(ledger).cost in (whole[-1], whole[-1] + 1)
    ledger.record([seen(200_000)], TODAY)
    assert total(ledger).cost == 200_000
    ledger.close()


def test_growth_is_of_its_day_model_runtime_and_agent(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.record([seen(5, day="2026-10-31")], "2026-10-31")
    ledger.record([seen(7), seen(2, "s2", agent="box/b")], TODAY)
    assert {start: used.cost for start, used in ledger.periods(1).items()} == {"2026-10-01": 5, "2026-11-01": 4}
    assert {start: used.cost for start, used in ledger.periods(15).items()} == {"2026-10-15": 5, "2026-11-15": 4}
    lines = [(line.day, line.agent, line.used.cost) for line in ledger.lines("2026-10-01", "2026-12-01")]
    assert lines == [("2026-10-31", "box/a", 5), (TODAY, "box/a", 2), (TODAY, "box/b", 2)]
    ledger.close()


def test_a_past_counts_on_its_own_days_and_once(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    past = (("2026-10-30", Figures(20, 200, 20)), ("2026-11-24", Figures(25, 250, 25)))
    for told in (seen(32, past=past), seen(32, past=past), seen(33)):
        ledger.record([told], TODAY)
    days = [(line.day, line.used.cost) for line in ledger.lines("2026-10-01", "2026-12-01")]
    assert days == [("2026-10-30", 20), ("2026-11-24", 5), (TODAY, 8)]
    assert ledger.periods(1) == {"2026-10-01": Usage(20, 200, 20), "2026-11-01": Usage(13, 130, 13)}
    ledger.close()


def test_the_newest_day_is_the_last_on_which_something_was_counted_and_none_of_the_future(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    assert ledger.counted(1, TODAY) == Counted()
    ledger.record([seen(7), seen(9, "s2", day="2026-11-24"), seen(5, "s3", day="2026-12-24")], TODAY)
    assert ledger.counted(1, TODAY).newest == Daily(TODAY, Usage(7, 70, 7))
    assert ledger.counted(1, TODAY).periods == ledger.periods(1)
    assert ledger.counted(1, "2026-12-24").newest == Daily("2026-12-24", Usage(5, 50, 5))
    ledger.raise_marks({seen(7).key: Usage(7, 70, 7)}, TODAY)
    assert ledger.counted(1, TODAY).newest == Daily(TODAY, NOTHING), "corrected to nothing, and never to less"
    ledger.close()


def test_what_an_agent_used_under_another_id_does_not_count_again(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.record([seen(20, agent="box/claude-1f3c9a02")], TODAY)
    ledger.record([seen(23, agent="box/claude", former="box/claude-1f3c9a02")], TODAY)
    ledger.record([seen(24, agent="box/claude-1f3c9a02", former="box/claude")], TODAY)
    assert total(ledger).cost == 24
    ledger.close()


def test_under_another_name_it_is_another_ledger_which_counts_on_from_the_same_marks(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.record([seen(5)], TODAY)
    ledger.close()
    renamed = opened(tmp_path, "n2", TWO)
    assert (renamed.id, renamed.is_new, total(renamed)) == (TWO, True, NOTHING)
    renamed.record([seen(7)], TODAY)
    assert total(renamed).cost == 2
    renamed.close()


@pytest.mark.parametrize("damage", [b"not a database at all" * 50, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_file_is_set_aside_and_another_ledger_begins(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / LEDGER).write_bytes(damage)
    ledger = opened(tmp_path)
    ledger.record([seen(5)], TODAY)
    assert (ledger.lasts, total(ledger).cost) == (True, 5)
    assert (tmp_path / f"{LEDGER}.damaged-1").read_bytes() == damage
    ledger.close()


def test_where_nothing_can_be_written_it_counts_in_memory(tmp_path: Path) -> None:
    (tmp_path / LEDGER).mkdir()
    ledger = opened(tmp_path)
    ledger.record([seen(5)], TODAY)
    assert (ledger.lasts, total(ledger).cost) == (False, 5)
    ledger.close()


def test_on_a_full_disk_nothing_is_half_recorded_and_it_counts_when_there_is_room(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.record([seen(5)], TODAY)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    many = [seen(1, f"s{i}", agent=f"box/agent-{i}") for i in range(2, 5_000)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(sqlite3.OperationalError) as full:
            ledger.record(many, TODAY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert not is_damage(full.value)
    assert total(ledger).cost == 5
    ledger.record(many, TODAY)
    assert total(ledger).cost == 5 + 4_998
    ledger.close()


def test_what_another_node_has_counted_of_a_session_is_not_counted_again(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.record([seen(8, told=Usage(5, 50, 5))], TODAY)
    assert total(ledger).cost == 3
    ledger.record([seen(9, told=Usage(9, 90, 9), counts=False)], TODAY)
    ledger.record([seen(10)], TODAY)
    assert total(ledger).cost == 4, "the one from 9 to 10: what lies before was counted there"
    ledger.close()


def test_what_a_lost_ledger_had_counted_is_taken_back_once(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.record([seen(8)], TODAY)
    for _ in range(2):
        ledger.raise_marks({seen(0).key: Usage(5, 50, 5), b"another!": Usage(3, 3, 3)}, TODAY)
        assert total(ledger) == Usage(3, 30, 3)
    ledger.record([seen(9)], TODAY)
    assert total(ledger).cost == 4
    ledger.close()


def test_statements_of_others_are_there_again_after_a_restart(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.keep([Kept("n2", TWO, 1, 7, b"old"), Kept("n2", TWO, 1, 8, b"new")])
    ledger.close()
    again = opened(tmp_path)
    assert [kept.data for kept in again.kept()] == [b"new"]
    again.close()


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    opened(tmp_path).close()
    assert os.stat(tmp_path / LEDGER).st_mode & 0o777 == 0o600


def test_old_days_are_forgotten(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.record([seen(5, day="2025-01-01"), seen(2, "s2")], TODAY)
    ledger.tidy("2025-10-01")
    assert set(ledger.periods(1)) == {"2026-11-01"}
    ledger.close()
