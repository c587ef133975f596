"""One function in AWS's own runtime client, from its start to its end."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty
from tempfile import TemporaryFile
from typing import IO

from bench.answers import Seen
from bench.built import REGION
from bench.certificates import Certificates
from bench.done import NotDone, require_done
from bench.packages import PYTHON
from bench.runtime_api import Failed, RuntimeApi, runtime_api
from bench.subjects import Subject, event
from bench.unpacked import Unpacked

PATIENCE = 600.0
"""Seconds for a function to start, under valgrind as well."""
LAST_WORDS = 3000
"""Characters of what a function said that are shown where it failed."""


@dataclass
class Running:
    """A function that waits for events. ``init`` is how long that took, in seconds; ``log`` is what it says."""

    api: RuntimeApi
    process: "subprocess.Popen[bytes]"
    init: float
    seen: Seen
    subject: Subject
    log: IO[bytes]

    def create(self, key: str) -> float:
        """Have it create a stream; seconds. Raises ``NotDone`` where that was not all of the job, and ``Failed``."""
        self.seen.forget()
        answer, seconds = self.api.invoke(event(self.subject, key), PATIENCE)
        if not self.subject.idle:
            require_done(self.subject.name, self.subject.ours, self.seen, answer)
        self.api.ready(PATIENCE)
        return seconds


@contextmanager
def running(
    subject: Subject, seen: Seen, unpacked: Unpacked, before: Sequence[str] = (), **more: str
) -> Iterator[Running]:
    """The function, started by a command that begins with ``before``, until the block ends.

    Raises ``Failed`` where it does not start. ``more`` are variables besides.
    """
    place = unpacked.place(subject)
    with runtime_api() as api, TemporaryFile() as log:
        environment = {
            **_everywhere(api, seen, unpacked.certificates),
            **subject.environment(seen.url, place.task, place.opt),
        }
        environment["PYTHONPATH"] += os.pathsep + str(place.runtime)
        # Without the environment's packages: those of the function and of Lambda alone are found.
        command = [*before, str(PYTHON), "-S", "-m", "awslambdaric", subject.handler]
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, env={**environment, **more}, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=place.task
        )
        threading.Thread(target=_tell_the_end, args=(process, api), daemon=True).start()
        try:
            yield Running(api, process, api.ready(PATIENCE) - begun, seen, subject, log)
        except (Failed, Empty, NotDone) as error:
            log.seek(0)
            error.add_note(f"{subject.name} said:\n" + log.read().decode(errors="replace")[-LAST_WORDS:])
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _tell_the_end(process: "subprocess.Popen[bytes]", api: RuntimeApi) -> None:
    process.wait()
    api.ended()


def _everywhere(api: RuntimeApi, seen: Seen, certificates: Certificates) -> dict[str, str]:
    """What Lambda gives to every function of 512 MB that is traced, and where its services are here."""
    return {
        "PATH": "/usr/bin:/bin",
        "TZ": ":UTC",
        "LANG": "en_US.UTF-8",
        "PYTHONHASHSEED": "0",  # else the same work would not take the same instructions
        "PYTHONDONTWRITEBYTECODE": "1",  # Lambda's file system is read-only
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "AWS_LAMBDA_FUNCTION_NAME": "bench",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_SESSION_TOKEN": "bench",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",  # by UDP: nobody has to listen
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_ENDPOINT_URL": seen.url,
        "SSL_CERT_FILE": str(certificates.bundle),
    }


def missing_tools() -> list[str]:
    """What this machine lacks, each with how to get it."""
    lacking = [] if PYTHON.exists() else [f"{PYTHON}: run `make bench`, which makes it"]
    if not shutil.which("valgrind"):
        lacking.append("valgrind: `make bench` says how to get it")
    return lacking
