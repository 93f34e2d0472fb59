"""Work apart: what it sends is heard, and it ends when it falls silent, fails or is no longer listened to."""

from __future__ import annotations

import os
import time

import pytest

from ferlib.errors import FerlibError
from ferlib.silence import SilentError, heard


def counts(send, n, pause=0.0):
    send(os.getpid())
    for number in range(n):
        time.sleep(pause)
        send(number)


def fails(send, error):
    send("begun")
    raise error


def dies(send):
    send("begun")
    os._exit(7)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_is_sent_arrives_in_order_from_another_process():
    pid, *numbers = heard(counts, 3, patience=60)
    assert numbers == [0, 1, 2] and pid != os.getpid() and not alive(pid)


def test_a_slow_one_is_waited_for_and_a_silent_one_ended():
    pid, *numbers = heard(counts, 3, 0.3, patience=30)
    assert numbers == [0, 1, 2]
    listening = heard(counts, 1, 3600, patience=60)
    pid = next(listening)
    listening.close()
    assert not alive(pid)
    listening = heard(counts, 1, 3600, patience=12)
    pid = next(listening)
    with pytest.raises(SilentError, match="heard nothing for 12 s"):
        next(listening)
    assert not alive(pid)


@pytest.mark.parametrize(
    ("work", "args", "says"),
    [
        (fails, (FerlibError("no such page"),), "^no such page$"),
        (fails, (ValueError("bad\nvalue"),), "^ValueError: bad$"),
        (dies, (), "^dies ended with status 7$"),
    ],
)
def test_what_ends_the_work_is_told_in_one_line(work, args, says):
    listening = heard(work, *args, patience=60)
    assert next(listening) == "begun"
    with pytest.raises(FerlibError, match=says):
        next(listening)
