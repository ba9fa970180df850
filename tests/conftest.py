"""Hypothesis profiles and signals.

Every test gets its settings from a profile: no test has a deadline or health checks of its own.

No profile has a deadline, and only `dev` checks how fast examples are generated: the time says more about the machine
than about the test.

- `dev`: the default. Examples differ from run to run; a slow strategy is an error.
- `loaded`: the same on a machine that has other work: `make test` uses it.
- `ci`: the default with `CI` set. Examples are the same in each run, and a failure prints how to repeat it.

`HYPOTHESIS_PROFILE` or `--hypothesis-profile` chooses another one.

Programs that tests send signals to are started by tests/processes.py, which resets what they would inherit.
"""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

settings.register_profile("dev", deadline=None)
settings.register_profile("loaded", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))

if hasattr(signal, "pthread_sigmask"):
    # The time limits of tests are signals, which the parent process may have blocked.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM, signal.SIGPROF])
