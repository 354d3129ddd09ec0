"""What the agents of this node have used, day by day, in SQLite in its state dir.

    ledger.db   and -wal, -shm beside it: WAL, so that a crash at any moment leaves the last whole transaction

A transaction holds growth and the marks that it was counted to, together: after a crash neither is there, and the
agents' totals, which are told whole each time, bring it again. So nothing is lost and nothing counted twice. WAL with
`synchronous=NORMAL` flushes at checkpoints alone; after a power cut the last transactions may be missing, whole, which
comes to the same.

A full disk makes `record` fail with nothing changed: the caller keeps what it brought, and tries again. A damaged file
is set aside as `ledger.db.damaged-N`, and another ledger begins. All of this blocks: at run time call it from a thread.
Without a path it is in memory, and takes microseconds.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.fleet.usage import NOTHING, Counted, Daily, Figures, Usage, growth, period_start
from meshfleet.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from meshfleet.fleet.names import NodeName

LEDGER = "ledger.db"

MARKS = 16_384
"""Sessions whose marks are kept. The longest unused go: one that is read again after that counts anew."""

DAYS_KEPT = 400
"""Days of which it is kept what was used: a year, and the month before."""

ROWS = 200_000
"""Lines of who used what on which day with which model. Beyond it the oldest day goes; sums of days stay."""

ACCOUNTS = 1_024
"""Statements of others that are kept; the oldest go."""

DAMAGED_LIMIT = 9
VERSION = 1
_CORRUPT, _NO_DATABASE = 11, 26

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (
  key BLOB PRIMARY KEY, cost INTEGER NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL,
  counted_cost INTEGER NOT NULL, counted_in INTEGER NOT NULL, counted_out INTEGER NOT NULL,
  day TEXT NOT NULL, turn INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS marks_by_turn ON marks (turn);
CREATE TABLE IF NOT EXISTS used (
  day TEXT NOT NULL, agent TEXT NOT NULL, model TEXT NOT NULL, runtime TEXT NOT NULL,
  cost INTEGER NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL,
  PRIMARY KEY (day, agent, model, runtime)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS days (
  day TEXT PRIMARY KEY, cost INTEGER NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (
  node TEXT NOT NULL, ledger BLOB NOT NULL, kind INTEGER NOT NULL, at INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (node, ledger, kind)) WITHOUT ROWID;
"""

log = get_logger("meshfleet.node")


class Seen(msgspec.Struct, frozen=True):
    """What one state says that was used, and by whom."""

    agent: str
    session: str | None
    model: str | None
    runtime: str
    said: Figures
    day: str
    """On which it counts."""
    told: Usage | None = None
    """What another node has told of the same agent and session: that counts there."""
    counts: bool = True
    """False where another node carries the agent as well, and counts it."""
    past: tuple[tuple[str, Figures], ...] = ()
    """What it had used at the end of days before, oldest first: that counts on those."""
    former: str | None = None
    """The id that the agent had before this one."""

    @property
    def key(self) -> bytes:
        """Of the session's mark."""
        return _key(self.agent, self.session)

    @property
    def former_key(self) -> bytes | None:
        """Of its mark under the agent's former id."""
        return None if self.former is None else _key(self.former, self.session)

    def steps(self) -> list[Seen]:
        """One for each day on which something of it counts."""
        return [*(msgspec.structs.replace(self, said=said, day=day) for day, said in self.past), self]


def _key(agent: str, session: str | None) -> bytes:
    return blake2b(f"{agent}\0{session or ''}".encode(), digest_size=8).digest()


class Kept(msgspec.Struct, frozen=True):
    """A statement as it is kept over restarts."""

    node: str
    ledger: bytes
    kind: int
    at: int
    data: bytes


class Line(msgspec.Struct, frozen=True):
    """Who used what, when and with what."""

    day: str
    agent: str
    model: str
    runtime: str
    used: Usage


class Ledger:
    """One node's ledger. Not for two threads at once."""

    def __init__(self, database: sqlite3.Connection, path: Path | None) -> None:
        self._database = database
        self._path = path
        self.id = b""
        """Eight bytes of its own: who begins anew, as another node or after a loss, is another ledger."""
        self.is_new = False
        """Whether it began when it was opened."""
        self.last_day: str | None = None
        """On which something was recorded last before it was opened."""

    @classmethod
    def open(cls, path: Path | None, node: str, new_id: bytes) -> Ledger:
        """The ledger at `path`, of the node of that name; `new_id` is what a new one is called. Never fails: what is
        damaged is set aside, and where nothing can be written it is in memory, until the next start."""
        for _ in range(2):
            try:
                ledger = cls(_connect(path), path)
                ledger._begin(node, new_id)
                return ledger
            except (sqlite3.Error, OSError) as error:
                if path is None:
                    raise
                if not is_damage(error):
                    log.error("the ledger can't be used; what is spent is counted in memory", path=str(path), why=error)
                    break
                set_aside(path, error)
        return cls.open(None, node, new_id)

    def close(self) -> None:
        """Let go of the file."""
        with suppress(sqlite3.Error):
            self._database.close()

    @property
    def path(self) -> Path | None:
        """Where it is kept; None in memory."""
        return self._path

    @property
    def lasts(self) -> bool:
        """Whether it is on a disk."""
        return self._path is not None

    def _begin(self, node: str, new_id: bytes) -> None:
        with self._database as database:
            known = dict(database.execute("SELECT key, value FROM meta"))
            self.last_day = known["day"].decode() if "day" in known else None
            if known.get("node") == node.encode() and known.get("ledger"):
                self.id = known["ledger"]
                return
            # Another node's name: what was counted under the old one stays told under the old one. Marks stay, so that
            # nothing is counted twice.
            self.id, self.is_new = new_id, True
            database.execute("DELETE FROM days")
            database.execute("UPDATE marks SET counted_cost = 0, counted_in = 0, counted_out = 0")
            values = (("node", node.encode()), ("ledger", new_id))
            database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values)

    def record(self, seen: Iterable[Seen], today: str) -> None:
        """Count what these say beyond what was counted. All of it, or sqlite3.Error and nothing."""
        with self._database as database:
            database.execute("INSERT OR REPLACE INTO meta VALUES ('day', ?)", (today.encode(),))
            turn = _number(database.execute("SELECT coalesce(max(turn), 0) FROM marks"))
            for turn, each in enumerate(seen, turn + 1):  # noqa: B020 - counted on from the last one
                for step in each.steps():
                    self._record(step, turn)
            _forget_marks(database)

    def _record(self, seen: Seen, turn: int) -> None:
        database = self._database
        row = database.execute(
            "SELECT cost, tokens_in, tokens_out, counted_cost, counted_in, counted_out FROM marks WHERE key = ?",
            (seen.key,),
        ).fetchone()
        known = row is not None
        mark, counted = (Usage(*row[:3]), Usage(*row[3:6])) if known else (seen.told or NOTHING, NOTHING)
        mark = mark.join(self._mark_of(seen.former_key))
        day = seen.day
        if seen.counts:
            used, mark = growth(mark, seen.said, restarts=seen.session is None)
        else:
            used, mark = NOTHING, mark.join(seen.told or NOTHING)
        if known and not used and tuple(row[:3]) == (mark.cost, mark.tokens_in, mark.tokens_out):
            return
        total = counted.plus(used)
        self._mark(seen.key, mark, total, day, turn)
        if used:
            self._book(Line(day, seen.agent, seen.model or "", seen.runtime, used))

    def _mark_of(self, key: bytes | None) -> Usage:
        if key is None:
            return NOTHING
        row = self._database.execute("SELECT cost, tokens_in, tokens_out FROM marks WHERE key = ?", (key,)).fetchone()
        return NOTHING if row is None else Usage(*row)

    def _mark(self, key: bytes, mark: Usage, counted: Usage, day: str, turn: int) -> None:
        row = (key, *msgspec.structs.astuple(mark), *msgspec.structs.astuple(counted), day, turn)
        self._database.execute("INSERT OR REPLACE INTO marks VALUES (?,?,?,?,?,?,?,?,?)", row)

    def _book(self, line: Line, sign: int = 1) -> None:
        used = [sign * figure for figure in (line.used.cost, line.used.tokens_in, line.used.tokens_out)]
        adding = "cost = cost + excluded.cost, tokens_in = tokens_in + excluded.tokens_in, "
        adding += "tokens_out = tokens_out + excluded.tokens_out"
        self._database.execute(
            f"INSERT INTO days VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET {adding}", (line.day, *used)
        )
        self._database.execute(
            f"INSERT INTO used VALUES (?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET {adding}",
            (line.day, line.agent, line.model, line.runtime, *used),
        )

    def raise_marks(self, marks: Mapping[bytes, Usage], today: str) -> None:
        """Another ledger of this node, which is lost, had counted these sessions that far: what was counted here and
        there is taken back here."""
        with self._database as database:
            for key, other in marks.items():
                row = database.execute(
                    "SELECT cost, tokens_in, tokens_out, counted_cost, counted_in, counted_out, turn FROM marks "
                    "WHERE key = ?",
                    (key,),
                ).fetchone()
                mark, counted, turn = (Usage(*row[:3]), Usage(*row[3:6]), row[6]) if row else (NOTHING, NOTHING, 0)
                twice = counted.beyond(mark.beyond(other))
                mark, counted = mark.join(other), counted.beyond(twice)
                self._mark(key, mark, counted, today, turn)
                if twice:
                    self._book(Line(today, "", "", "", twice), -1)

    def periods(self, first: int) -> dict[str, Usage]:
        """What was counted in each billing period, by its first day. A period that was corrected to less than nothing
        has nothing."""
        sums: dict[str, list[int]] = {}
        for day, *figures in self._database.execute("SELECT * FROM days"):
            total = sums.setdefault(period_start(day, first), [0, 0, 0])
            for i, figure in enumerate(figures):
                total[i] += figure
        return {start: Usage(*(max(0, figure) for figure in total)) for start, total in sums.items()}

    def counted(self, first: int, until: str) -> Counted:
        """All periods, as `periods` has them, and the newest day of those up to `until`. A later one is of a clock that
        was ahead, and would stay the newest until it has come."""
        row = self._database.execute("SELECT * FROM days WHERE day <= ? ORDER BY day DESC LIMIT 1", (until,)).fetchone()
        newest = None if row is None else Daily(row[0], Usage(*(max(0, figure) for figure in row[1:])))
        return Counted(self.periods(first), newest)

    def recent_marks(self, since: str, most: int) -> dict[bytes, Usage]:
        """Marks of the sessions that grew since that day, the last ones first."""
        rows = self._database.execute(
            "SELECT key, cost, tokens_in, tokens_out FROM marks WHERE day >= ? ORDER BY turn DESC LIMIT ?",
            (since, most),
        )
        return {row[0]: Usage(*row[1:]) for row in rows}

    def lines(self, start: str, end: str) -> list[Line]:
        """What was used from one day to before another."""
        rows = self._database.execute(
            "SELECT * FROM used WHERE day >= ? AND day < ? ORDER BY day, agent LIMIT ?", (start, end, ROWS)
        )
        # Corrections are less than nothing: they stay out of the lines, and in the sums of days.
        return [Line(row[0], row[1], row[2], row[3], Usage(*row[4:])) for row in rows if min(row[4:]) >= 0]

    def keep(self, statements: Iterable[Kept]) -> None:
        """Have these statements again after a restart, in place of older ones of the same ledgers."""
        with self._database as database:
            database.executemany(
                "INSERT OR REPLACE INTO accounts VALUES (?,?,?,?,?)",
                [(each.node, each.ledger, each.kind, each.at, each.data) for each in statements],
            )
            database.execute(
                "DELETE FROM accounts WHERE at < (SELECT at FROM accounts ORDER BY at DESC LIMIT 1 OFFSET ?)",
                (ACCOUNTS - 1,),
            )

    def kept(self) -> list[Kept]:
        """All of them."""
        return [Kept(*row) for row in self._database.execute("SELECT * FROM accounts ORDER BY at LIMIT ?", (ACCOUNTS,))]

    def tidy(self, oldest: str) -> None:
        """Forget days before `oldest`, and the oldest lines where there are too many."""
        with self._database as database:
            database.execute("DELETE FROM used WHERE day < ?", (oldest,))
            database.execute("DELETE FROM days WHERE day < ?", (oldest,))
            while _number(database.execute("SELECT count(*) FROM used")) > ROWS:
                database.execute("DELETE FROM used WHERE day = (SELECT min(day) FROM used)")


def _forget_marks(database: sqlite3.Connection) -> None:
    over = _number(database.execute("SELECT count(*) FROM marks")) - MARKS
    if over > 0:
        database.execute("DELETE FROM marks WHERE key IN (SELECT key FROM marks ORDER BY turn LIMIT ?)", (over,))


def _number(rows: sqlite3.Cursor) -> int:
    return int(rows.fetchone()[0])


def _connect(path: Path | None) -> sqlite3.Connection:
    if path is not None:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # as all in the state dir
    database = sqlite3.connect(":memory:" if path is None else path, check_same_thread=False, timeout=1.0)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        version = _number(database.execute("PRAGMA user_version"))
        if version > VERSION:
            raise sqlite3.DatabaseError(f"of a later version, {version}; this one knows {VERSION}")
        if path is not None and _number_or_text(database.execute("PRAGMA quick_check")) != "ok":
            raise sqlite3.DatabaseError("it does not pass SQLite's quick check")
        database.executescript(_SCHEMA)
        database.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        database.close()
        raise
    return database


def _number_or_text(rows: sqlite3.Cursor) -> str:
    return str(rows.fetchone()[0])


def is_damage(error: Exception) -> bool:
    """Whether the file itself is bad, rather than the disk full or the folder closed."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
    return code & 0xFF in (_CORRUPT, _NO_DATABASE)


def set_aside(path: Path, why: Exception) -> None:
    """Put a damaged ledger out of the way, with what SQLite keeps beside it."""
    damaged = next(
        (p for n in range(1, DAMAGED_LIMIT) if not (p := path.with_name(f"{path.name}.damaged-{n}")).exists()),
        path.with_name(f"{path.name}.damaged-{DAMAGED_LIMIT}"),
    )
    with suppress(OSError):
        path.replace(damaged)
    for beside in ("-wal", "-shm"):
        with suppress(OSError):
            path.with_name(path.name + beside).unlink()
    log.error("damaged ledger set aside; another one begins", now=str(damaged), why=why)


async def open_ledger(state_dir: Path | None, name: NodeName, epoch: int) -> Ledger:
    """The ledger of a node: in its state dir, or in memory where it has none. A new one's id is made of what no other
    life of that node has."""
    new_id = blake2b(f"{name}\0{epoch}".encode(), digest_size=8).digest()
    if state_dir is None:
        return Ledger.open(None, name, new_id)
    return await trio.to_thread.run_sync(partial(Ledger.open, state_dir / LEDGER, name, new_id))
