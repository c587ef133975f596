"""What a person sees while something takes long: what is being done, that it goes on, and how long it took."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

EVERY_SECONDS = 5.0


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is being done, a dot every few seconds, and at its end how long it took."""
    over = threading.Event()
    begun = time.monotonic()
    print(f"▸ {what} ", end="", flush=True)

    def go_on() -> None:
        while not over.wait(EVERY_SECONDS):
            print(".", end="", flush=True)

    dots = threading.Thread(target=go_on, daemon=True)
    dots.start()
    try:
        yield
    except BaseException:
        print(f" failed after {time.monotonic() - begun:.1f} s", flush=True)
        raise
    else:
        over.set()
        dots.join()
        print(f" {time.monotonic() - begun:.1f} s", flush=True)
    finally:
        over.set()
