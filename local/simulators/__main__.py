"""`python -m local.simulators --port N`: one ready line, then until SIGTERM or SIGINT."""

import argparse
import signal

from local.simulators import simulators


def main() -> None:
    arguments = argparse.ArgumentParser(prog="local.simulators", description=__doc__)
    arguments.add_argument("--port", type=int, default=0, help="0 takes a free one")
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before the server's threads, which inherit it
    with simulators(arguments.parse_args().port) as running:
        print(f"simulators ready at {running.url}", flush=True)
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
