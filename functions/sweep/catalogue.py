"""Which providers can be searched for orphans, as their folders' generated ``capabilities.json`` say."""

import json
from functools import cache
from pathlib import Path


@cache
def searchable() -> tuple[str, ...]:
    """Their names; found beside this folder, so that nothing lists providers."""
    folders = Path(__file__).parent.parent
    found = (json.loads(path.read_text()) for path in sorted(folders.glob("*/capabilities.json")))
    return tuple(one["provider"] for one in found if one.get("finds_orphans"))
