"""`python -m local.simulators --port N`: one ready line, then until SIGTERM or SIGINT."""

import argparse
import signal

from local.clock import shared_file
from local.door import Clock
from local.killing import KILLABLE_BELOW, descendants_of
from local.simulators import simulators


def main() -> None:
    parser = argparse.ArgumentParser(prog="local.simulators", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--killable-below", type=int, metavar="PORT", help=KILLABLE_BELOW)
    arguments = parser.parse_args()
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before the server's threads, which inherit it
    victims = descendants_of(arguments.killable_below)
    with simulators(arguments.port, victims, Clock(shared_file())) as running:
        print(f"simulators ready at {running.url}", flush=True)
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
