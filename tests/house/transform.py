"""Run in the environment that deploys: a template and its parameters on stdin → what SAM makes of it on stdout."""

import json
import sys
from types import SimpleNamespace

from samtranslator.parser.parser import Parser  # type: ignore[import-not-found] # is where it is run alone
from samtranslator.translator.translator import Translator  # type: ignore[import-not-found] # is where it is run alone

if __name__ == "__main__":
    asked = json.load(sys.stdin)
    # It asks the session for nothing but its region, as long as policies are not named.
    translator = Translator({}, Parser(), boto_session=SimpleNamespace(region_name="eu-central-1"))
    json.dump(translator.translate(asked["template"], asked["parameters"]), sys.stdout)
