"""`python -m local.kinesis_video --port N`: serves on 127.0.0.1 until SIGTERM or SIGINT."""

import argparse
import signal
import threading

from local.door import serve
from local.kinesis_video.server import kinesis_video


def main() -> None:
    parser = argparse.ArgumentParser(prog="local.kinesis_video", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    port = parser.parse_args().port
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with serve(kinesis_video(), port) as url:
        print(f"kinesis-video ready at {url}", flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
