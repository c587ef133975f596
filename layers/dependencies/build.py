"""What a cold start would do each time, done once: packages are cut to what is used, and compiled.

``build.py FOLDER``, where they were installed.
"""

import compileall
import json
import shutil
import sys
from pathlib import Path
from py_compile import PycInvalidationMode

from botocore_data import slim
from roots import lay_out

HERE = Path(__file__).parent
UNUSED = (
    "bin",
    "*/py.typed",
    "**/*.pyi",
    "aws_lambda_powertools/event_handler",
    *(
        f"aws_lambda_powertools/utilities/{name}"
        for name in ("auth_alpha", "data_masking", "feature_flags", "idempotency", "kafka", "parameters")
    ),
    "boto3/data",
    "boto3/examples",
    "botocore/cacert.pem",
    "pydantic/mypy.py",
    "pydantic/v1",
)
"""Megabytes that nothing of ours imports or reads."""


def main() -> None:
    """Finish the layer's folder. Raises where the Python that builds is not the one that runs."""
    folder = Path(sys.argv[1])
    if sys.version_info[:2] != (3, 13):
        raise SystemExit("The layers are compiled for Lambda's python3.13: build them with a python3.13.")
    for pattern in UNUSED:
        for path in folder.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if (folder / "botocore").exists():
        slim(folder / "botocore" / "data", json.loads((HERE / "operations.json").read_text()))
    if (folder / "certifi").exists():
        lay_out(folder / "certifi" / "cacert.pem", folder / "roots")
    # Never checked against its source: a zip file changes times, and Lambda's file system cannot be written.
    compileall.compile_dir(folder, quiet=1, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)


if __name__ == "__main__":
    main()
