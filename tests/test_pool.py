"""Several runs at once, each in a process of its own."""

from __future__ import annotations

import signal
from types import SimpleNamespace

from ferlib import pool
from ferlib.experiments import get
from ferlib.interrupt import EXIT_STOPPED, Stop


class Child:
    """A process that a signal ends before it listens: its return code is the signal's, negative."""

    def __init__(self, stop, code):
        self.stop, self.code, self.returncode = stop, code, None

    def send_signal(self, number):
        self.returncode = -number

    def poll(self):
        if self.code is not None:
            self.returncode = self.code
        self.stop.signal = self.stop.signal or (None if self.code is not None else signal.SIGTERM)
        return self.returncode


def ended(monkeypatch, *codes):
    stop, waiting = Stop(), list(codes)
    monkeypatch.setattr(pool.subprocess, "Popen", lambda *_, **__: Child(stop, waiting.pop(0)))
    monkeypatch.setattr(pool, "command", lambda *_: [])
    monkeypatch.setattr(pool, "POLL_SECONDS", 0)
    pairs = [(get("se_cnn-plain"), seed) for seed in range(len(codes))]
    return pool.run_all(pairs, SimpleNamespace(jobs=len(codes)), stop)


def test_a_child_that_the_signal_met_before_it_listened_is_stopped(monkeypatch, capsys):
    assert ended(monkeypatch, None) == EXIT_STOPPED
    assert "1 stopped, the same command goes on: se_cnn-plain seed 0" in capsys.readouterr().err


def test_a_child_that_died_of_its_own_has_failed(monkeypatch, capsys):
    assert ended(monkeypatch, -11) == 1
    assert "1 failed, see above" in capsys.readouterr().err
