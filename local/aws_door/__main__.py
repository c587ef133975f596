"""`python -m local.aws_door --upstream http://127.0.0.1:M --port N`: one ready line, then until SIGTERM or SIGINT.

It kills no process but those below the one that listens at `--upstream`.
"""

import argparse
import signal
from urllib.parse import urlsplit

from local.aws_door.server import aws_door
from local.killing import descendants_of


def main() -> None:
    parser = argparse.ArgumentParser(prog="local.aws_door", description=__doc__)
    parser.add_argument("--upstream", required=True, help="the emulator's URL")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    arguments = parser.parse_args()
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before the server's threads, which inherit it
    victims = descendants_of(urlsplit(arguments.upstream).port or 80)
    with aws_door(arguments.upstream, arguments.port, victims) as served:
        print(f"aws door ready at {served.url}", flush=True)
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
