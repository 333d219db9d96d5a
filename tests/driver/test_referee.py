"""The referee's decisions, from what ranks say and what happens to them; without processes."""

import signal

import pytest

from cunumeric.driver import referee
from cunumeric.driver.referee import Referee
from cunumeric.engines.xla import processes


class Court:
    def __init__(self, size, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(referee.time, "monotonic", lambda: self.now)
        self.sent = []
        self.referee = Referee(size, lambda rank, message: self.sent.append((rank, message)))

    def says(self, rank, kind, **message):
        self.referee.receive(rank, {"kind": kind, **message})

    def ran(self, rank, letters):
        self.says(rank, "windows", digests="".join(letter * referee.WIDTH for letter in letters))

    def after(self, seconds=0.05):
        self.now += seconds
        self.referee.tick()
        return self.referee.verdict

    def asked(self):
        return [(rank, message["number"]) for rank, message in self.sent if message["kind"] == "ask"]


@pytest.fixture
def court(monkeypatch):
    return lambda size: Court(size, monkeypatch)


def test_widths_are_one():
    assert referee.WIDTH == processes.WIDTH


def test_ranks_may_be_ahead_of_each_other(court):
    c = court(3)
    c.ran(0, "abc")
    c.ran(1, "ab")
    assert c.after() is None
    c.ran(2, "abcd")
    c.ran(1, "cd")
    c.ran(0, "d")
    assert c.after() is None
    assert (c.referee.agreed, c.asked()) == (4, [])
    assert not any(r.digests for r in c.referee.ranks)


@pytest.mark.parametrize("before", [0, 3])
def test_the_first_window_that_differs_is_named(court, before):
    c = court(3)
    for rank in range(3):
        c.ran(rank, "x" * before)
    assert c.after() is None
    c.ran(0, "abc")
    c.ran(2, "aXY")
    assert c.after() is None
    assert c.asked() == []  # rank 1 may still come there
    c.ran(1, "ab")
    assert c.after() is None
    assert c.asked() == [(0, before + 1), (2, before + 1)]
    c.says(2, "detail", number=before + 1, line="p.py:7", what="add")
    assert c.after() is None
    c.says(0, "detail", number=before + 1, line="p.py:5", what="sort")
    verdict = c.after()
    assert verdict.status == 1
    assert f"rank 2 parted from rank 0 at window {before + 1}" in verdict.text
    assert "rank 0 was at p.py:5 (sort), rank 2 was at p.py:7 (add)" in verdict.text


def test_the_fewer_have_parted_from_the_more(court):
    c = court(4)
    for rank, letters in enumerate(("aX", "ab", "ab", "a")):
        c.ran(rank, letters)
    c.after()
    assert c.asked() == []
    c.after(referee.ARRIVE * 1.1)
    assert c.asked() == [(1, 1), (0, 1)]
    c.after(referee.DETAIL * 1.1)
    assert c.referee.verdict.text.startswith("rank 0 parted from rank 1 at window 1")


def test_ranks_that_cannot_answer_any_more(court):
    c = court(2)
    c.ran(0, "a")
    c.ran(1, "b")
    c.after()
    assert c.after(referee.DETAIL / 2) is None
    assert "rank 0 does not answer" in c.after(referee.DETAIL).text


def test_an_early_end_is_a_parting(court):
    c = court(2)
    c.ran(0, "ab")
    c.ran(1, "a")
    assert c.after(60) is None  # slow is no fault
    c.says(1, "ended")
    c.after()
    assert c.asked() == [(0, 1)]
    c.says(0, "detail", number=1, line="p.py:5", what="sort")
    assert "rank 0 was at p.py:5 (sort), rank 1 had ended" in c.after().text


def test_rank_0_leaves_last(court):
    c = court(3)
    for rank in (0, 2, 1):
        assert c.after() is None
        c.says(rank, "ended")
    c.after()
    assert [(r, m["kind"]) for r, m in c.sent] == [(1, "go"), (2, "go")]
    for rank in (2, 1):
        c.says(rank, "exited", status=0)
    assert c.after() is None
    assert c.sent[-1] == (0, {"kind": "go"})
    c.says(0, "exited", status=0)
    assert c.after().status == 0


def test_all_fail_alike(court):
    """Rank 0 has shown what there is to see."""
    c = court(2)
    for rank in (1, 0):
        c.says(rank, "exited", status=3, said="ValueError")
    verdict = c.after()
    assert (verdict.text, verdict.status) == ("", 3)


@pytest.mark.parametrize(
    ("status", "words", "ends"),
    [(1, "rank 1 ended with status 1", 1), (-signal.SIGKILL, "rank 1 was killed by SIGKILL", 137), (9, "status 9", 9)],
)
def test_the_first_failure_is_named(court, status, words, ends):
    c = court(3)
    c.says(0, "failed", error="RuntimeError: Gloo all-reduce failed: Connection closed by peer")
    c.says(1, "exited", status=status, said="why")
    assert c.after() is None
    verdict = c.after(referee.GRACE)
    assert words in verdict.text
    assert (verdict.status, verdict.blamed) == (ends, 1)
    assert c.sent[-1][1]["said"] == "why"


def test_an_abort_of_xlas_service_is_not_the_cause(court):
    c = court(2)
    c.says(1, "exited", status=-signal.SIGABRT, said="F1123 the JAX distributed service detected fatal errors")
    c.says(0, "exited", status=-signal.SIGKILL)
    assert c.after().blamed == 0


def test_a_stop_may_be_short(court):
    c = court(2)
    c.says(1, "stopped")
    assert c.after(referee.STOPPED / 2) is None
    c.says(1, "continued")
    assert c.after(referee.STOPPED * 2) is None
    c.says(1, "stopped")
    assert "rank 1 was stopped" in c.after(referee.STOPPED * 1.1).text


def test_interrupts(court):
    for number, patience in ((2, referee.INTERRUPT), (15, referee.TERMINATE)):
        c = court(2)
        c.says(0, "interrupt", signal=number)
        assert c.sent == [(None, {"kind": "interrupt", "signal": number})]
        c.says(1, "exited", status=0)
        assert c.after(patience * 0.9) is None
        assert c.after(patience * 0.2).status == 128 + number
        c = court(2)
        c.says(0, "interrupt", signal=number)
        c.says(0, "interrupt", signal=number)  # sent twice, meant once
        assert c.referee.verdict is None
        c.after(referee.AGAIN * 1.1)
        c.says(0, "interrupt", signal=number)
        assert c.referee.verdict.status == 128 + number


@pytest.mark.parametrize(
    ("ends", "status"), [((0, 0), 0), ((130, 130), 130), ((-15, -15), 143), ((7, 7), 7), ((0, 7), 143)]
)
def test_the_end_that_a_program_finds_after_a_signal(court, ends, status):
    c = court(2)
    c.says(0, "interrupt", signal=15)
    for rank, end in enumerate(ends):
        c.says(rank, "failed" if end else "ended")
    c.after()
    for rank in (1, 0):
        assert c.after() is None
        c.says(rank, "exited", status=ends[rank])
    assert c.after().status == status


def writes(c, number, files):
    for rank, file in enumerate(files):
        c.says(rank, "write", number=number, file=file)


def test_a_file_is_written_when_all_have_come_alike(court):
    c = court(3)
    writes(c, 2, ["f", "f"])
    for rank in range(3):
        c.ran(rank, "ab")
    assert c.after() is None
    c.says(2, "write", number=2, file="f")
    assert c.sent == []
    c.after()
    assert c.sent == [(rank, {"kind": "write", "number": 2, "writer": 0}) for rank in range(3)]
    c.says(0, "written", number=2, error={"name": "E"})
    assert c.sent[3:] == [(rank, {"kind": "written", "number": 2, "error": {"name": "E"}}) for rank in (1, 2)]
    c.says(0, "written", number=2, error=None)  # once
    assert len(c.sent) == 5


def test_nothing_is_written_before_the_course_is_known(court):
    c = court(2)
    writes(c, 2, "ff")
    c.ran(0, "ab")
    c.ran(1, "a")
    c.after()
    assert c.sent == []
    c.ran(1, "X")
    c.after()
    assert {message["kind"] for _, message in c.sent} == {"ask"}


def test_the_first_who_name_a_file_write_it(court):
    c = court(5)
    for rank in range(5):
        c.ran(rank, "a")
    writes(c, 1, "fgfgh")
    c.after()
    assert [message["writer"] for _, message in c.sent] == [0, 1, 0, 1, 4]
    c.says(1, "written", number=1, error=None)
    c.says(4, "written", number=1, error=None)
    assert [(rank, message["kind"]) for rank, message in c.sent[5:]] == [(3, "written")]


def test_after_ctrl_c_rank_0_writes_and_nobody_waits(court):
    c = court(2)
    c.ran(0, "ab")
    c.after()
    c.says(0, "interrupt")
    c.ran(0, "c")
    c.says(1, "write", number=2, file="f")
    c.after()
    assert c.sent[1:] == []
    c.says(0, "write", number=3, file="f")
    c.after()
    assert [(rank, message["kind"]) for rank, message in c.sent[1:]] == [(0, "write"), (1, "write"), (1, "written")]
    assert all(message.get("writer", 0) == 0 for _, message in c.sent[1:])


def test_a_write_that_a_signal_finds_waiting(court):
    """The program may have heard it and go on waiting, or not."""
    c = court(2)
    c.ran(0, "a")
    c.ran(1, "a")
    c.says(0, "write", number=1, file="f")
    c.after()
    c.says(0, "interrupt", signal=15)
    c.after()
    assert c.sent[1:] == []
    c.says(1, "write", number=1, file="f")
    c.ran(1, "b")
    c.after()
    assert [(rank, message["kind"]) for rank, message in c.sent[1:]] == [(0, "write"), (1, "write")]
    c = court(2)
    c.says(0, "write", number=1, file="f")
    c.says(0, "interrupt")
    assert c.after(referee.INTERRUPT * 1.1).text == ""


def test_what_was_computed_after_ctrl_c_is_written_only_if_all_have(court):
    c = court(2)
    c.ran(0, "a")
    c.says(0, "interrupt")
    c.ran(0, "bc")
    writes(c, 3, "ff")
    c.after()
    assert c.sent[1:] == []
    c.ran(1, "abc")
    c.after()
    assert [(rank, message["kind"]) for rank, message in c.sent[1:]] == [(0, "write"), (1, "write")]
    c = court(2)
    c.ran(0, "a")
    c.says(0, "interrupt")
    c.ran(0, "bc")
    c.ran(1, "aX")
    writes(c, 3, "ff")
    c.after()
    verdict = c.after(referee.INTERRUPT * 1.1)
    assert verdict.status == 130
    assert verdict.text.startswith("a file was not written: the signal found ranks at different places")
    assert not any(message["kind"] == "write" for _, message in c.sent)


def test_a_rank_that_leaves_past_us_has_ended(court):
    c = court(2)
    c.says(1, "exited", status=0)
    assert c.after(60) is None
    c.says(0, "ended")
    c.after()
    c.says(0, "exited", status=0)
    assert c.after().status == 0


def test_nonsense_from_the_network_changes_nothing(court):
    c = court(2)
    c.says(7, "ended")
    c.says(-1, "ended")
    c.says(0, "no such kind")
    c.says(0, "detail", number=5)
    assert c.after(60) is None
    assert not any(r.ended for r in c.referee.ranks)
