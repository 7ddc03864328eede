"""What stands in for training in processes of their own: ``module:function`` for :func:`train_all`."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from ganrun.core.cores import usable_cores
from ganrun.engine.folder import RunFolder
from ganrun.engine.signals import stop_on_signals


def act(arguments):
    """Do what the first argument names, with the others."""
    what, *rest = arguments
    ACTIONS[what](*rest)
    return 0


def finish(folder):
    RunFolder(Path(folder)).write_status("finished", 7)


def fail(folder):
    raise ZeroDivisionError("a bug")


def leave(folder):
    sys.exit(3)


def be_killed(folder):
    RunFolder(Path(folder)).write_status("running", 5)
    os.kill(os.getpid(), signal.SIGKILL)


def abort(folder):
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
    os.abort()


def say_why(folder):
    RunFolder(Path(folder)).write_status("failed", 4, "the loss became nan")
    sys.exit(1)


def wait_for(folder, other):
    while not Path(other).exists():
        time.sleep(0.01)
    finish(folder)


def describe(folder):
    facts = {"cores": usable_cores(), "cwd": str(Path.cwd()), "mark": os.environ.get("MARK")}
    (Path(folder) / "facts.json").write_text(json.dumps(facts))
    finish(folder)


def count(folder, log):
    """Write when it began and when it ended, as one write each."""
    with Path(log).open("a") as file:
        file.write("+")
        file.flush()
        time.sleep(0.6)
        file.write("-")
    finish(folder)


def train_until_asked(folder):
    """Train until a signal comes, then save, which takes a while."""
    run = RunFolder(Path(folder))
    with run.locked():
        with stop_on_signals(lambda: None) as stopped:
            run.write_status("running", 1)
            while not stopped.signal:
                time.sleep(0.01)
            time.sleep(0.3)
        run.write_status("stopped", 2)
    stopped.raise_for_caller()


ACTIONS = {
    function.__name__: function
    for function in (finish, fail, leave, be_killed, abort, say_why, wait_for, describe, count, train_until_asked)
}
