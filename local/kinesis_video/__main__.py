"""`python -m local.kinesis_video --port N`: serves on 127.0.0.1 until SIGTERM or SIGINT."""

import argparse
import signal
import threading

from local.clock import shared_file
from local.door import Clock, serve
from local.killing import KILLABLE_BELOW, descendants_of
from local.kinesis_video.server import kinesis_video


def main() -> None:
    parser = argparse.ArgumentParser(prog="local.kinesis_video", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--killable-below", type=int, metavar="PORT", help=KILLABLE_BELOW)
    arguments = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    door = kinesis_video(Clock(shared_file()), descendants_of(arguments.killable_below))
    with serve(door, arguments.port) as url:
        print(f"kinesis-video ready at {url}", flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
