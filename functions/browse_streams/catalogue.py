"""What each provider can do, as its folder's generated ``capabilities.json`` says."""

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def catalogue() -> dict[str, dict[str, Any]]:
    """Each provider's capabilities by its name; found beside this folder, so that nothing lists providers."""
    folders = Path(__file__).parent.parent
    found = (json.loads(path.read_text()) for path in sorted(folders.glob("*/capabilities.json")))
    return {one["provider"]: one for one in found}
