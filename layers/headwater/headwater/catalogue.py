"""What each provider can do, as its folder's generated ``capabilities.json`` says."""

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def catalogue(functions: Path) -> dict[str, dict[str, Any]]:
    """Each provider's capabilities by its name; found in the functions' folders, so that nothing lists providers."""
    found = (json.loads(path.read_text()) for path in sorted(functions.glob("*/capabilities.json")))
    return {one["provider"]: one for one in found}
