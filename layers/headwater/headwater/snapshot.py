"""What must not be in a snapshot of this process is forgotten before Lambda takes one; what must be new is so after it.

With SnapStart one process is initialised when a version is published, and every environment goes on from a copy of it.
So there must be no secret in it, no open connection, and nothing that has to be different in each.
"""

import os
from collections.abc import Callable
from functools import cache


def is_taken() -> bool:
    """Whether this process is what a snapshot will be taken of, or goes on from one."""
    return os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"


def before(forget: Callable[[], object]) -> None:
    """Have ``forget`` called once before a snapshot is taken, the last registered first; never where none is.

    It leaves what it belongs to in a state to go on from. What it raises fails the version that is being published. To
    be called where something is made that holds a secret, a connection or a moment; the hooks, and their order, are
    those of "Lambda SnapStart runtime hooks for Python" in the Lambda developer guide.
    """
    if not is_taken():
        return
    from snapshot_restore_py import register_before_snapshot

    _renewed()
    register_before_snapshot(forget)


@cache
def _renewed() -> None:
    """Each environment rolls dice of its own: for botocore's pauses before it repeats a call, for one.

    Ids, keys and nonces are of the kernel's randomness, which differs anyway ("Handling uniqueness with Lambda
    SnapStart" in the Lambda developer guide).
    """
    import random

    from snapshot_restore_py import register_after_restore

    register_after_restore(random.seed)
