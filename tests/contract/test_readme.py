"""The README's table of calls is the API, and what it tells people to send is understood."""

import json
import re
from dataclasses import dataclass

import pytest

from headwater.catalogue import catalogue
from headwater.provider import Verb
from local.generate import FUNCTIONS, ROOT
from tests.contract.functions import BY_FOLDER, World, api_routes

README = (ROOT / "README.md").read_text()
CLOUDFLARE = "provision_cloudflare"
NO = {"\N{EN DASH}", "there are none"}
"""How a table says so."""


# ---- the table


def calls_in_the_table() -> set[tuple[str, str]]:
    """Method and path of each row: "`GET`, `POST /streams`" are two."""
    section = README.partition("\n## The API\n")[2].partition("\n## ")[0]
    found = set()
    for cell in re.findall(r"^\| ([^|]+) \|", section.partition("\nA used key")[0], re.MULTILINE):
        methods = re.findall(r"\b(GET|POST|PATCH|DELETE)\b", cell)
        paths = re.findall(r"(/[^`?]+)", cell)
        found |= {(method, paths[0]) for method in methods if paths}
    return found


def calls_that_are_answered() -> set[tuple[str, str]]:
    """By a provider's function, and by the one that has no provider, in the README's words."""
    function = World(CLOUDFLARE).function
    generic = {(method, _in_words(path)) for method, path in function.api.routes.known}
    others = {call for call in api_routes()["browse_streams"] if "{" not in call[1]}
    return generic | others


def _in_words(path: str) -> str:
    names = {"cloudflare": "{provider}", "<stream_id>": "{id}", "<output_id>": "{output}"}
    return "/".join(names.get(step, step) for step in path.split("/"))


def test_the_table_of_calls_has_each_call_that_is_answered_and_no_other() -> None:
    assert calls_in_the_table() == calls_that_are_answered()


def test_what_the_table_of_abilities_says_of_a_provider_is_what_it_says_of_itself() -> None:
    section = README.partition("\n## A stream's whole life\n")[2]
    header, _, *lines = re.findall(r"^\|(.+)\|$", section.partition("\n### ")[0], re.MULTILINE)
    rows = {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.split("|")] for line in lines)}
    told = [
        next(one for one in catalogue(FUNCTIONS).values() if _names(one["provider"], name)) for name in _cells(header)
    ]
    verbs = {
        "exchange the secrets": Verb.ROTATE,
        "see drift, and repair it": Verb.REPAIR,
        "adopt what is there": Verb.ADOPT,
        "send on to other platforms": Verb.SIMULCAST,
    }
    for row, verb in verbs.items():
        able = [cell not in NO for cell in rows[row]]
        assert able == [verb in one["verbs"] for one in told], row
    changes = [any(at.startswith("/options") for at in one["changeable"]) for one in told]
    assert [cell not in NO for cell in rows["change options"]] == changes
    assert [cell not in NO for cell in rows["tell by itself that somebody sends"]] == [one["notifies"] for one in told]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|") if cell.strip()]


def _names(provider: str, words: str) -> bool:
    """Whether "Kinesis Video Streams" means ``kinesis-video``."""
    return words.lower().replace(" ", "-").startswith(provider)


# ---- what is sent


@dataclass(frozen=True)
class Sent:
    """A call with a body that somebody may copy."""

    method: str
    path: str
    body: str


def sent() -> list[Sent]:
    pattern = re.compile(r"""call (?:-X (\w+) )?"\$api([^"]*)"((?:(?!\bcall\b|```).)*?) -d '([^']*)'""", re.DOTALL)
    return [Sent(method or "POST", path, body) for method, path, _, body in pattern.findall(README)]


def opening(one: Sent) -> str | None:
    """The folder of the provider that it opens a stream at."""
    folders = {f"/streams/{provider.name}": folder for folder, provider in BY_FOLDER.items()}
    return folders.get(one.path)


def test_calls_with_bodies_are_found_in_the_readme() -> None:
    assert len(sent()) == len(re.findall(r"^call .* -d '", README, re.MULTILINE))
    assert {opening(one) for one in sent()} == {None, *BY_FOLDER}


@pytest.mark.parametrize("one", [one for one in sent() if opening(one)], ids=lambda one: f"{one.path} {one.body[:40]}")
def test_a_stream_can_be_opened_as_the_readme_does(one: Sent) -> None:
    assert World(opening(one) or "").ask("POST", one.path, one.body)["status"] == 201


@pytest.mark.parametrize("one", [one for one in sent() if "/adopt" in one.path], ids=lambda one: one.path)
def test_what_the_readme_adopts_is_found_to_be_a_request(one: Sent) -> None:
    (folder,) = (folder for folder, provider in BY_FOLDER.items() if one.path == f"/streams/{provider.name}/adopt")
    assert World(folder).ask(one.method, one.path, one.body)["code"] == "not-at-provider"


def test_a_stream_s_life_can_be_lived_as_the_readme_does() -> None:
    """On the live input that it opens first."""
    world = World(CLOUDFLARE)
    (create, *_) = (one for one in sent() if opening(one) == CLOUDFLARE)
    href = world.ask("POST", create.path, create.body)["href"]
    output = None
    for one in (one for one in sent() if one.path.startswith("$href")):
        path = one.path.replace("$href", href).replace("$output", str(output))
        answer = world.ask(one.method, path, one.body)
        assert answer["status"] in {200, 201}, (one, answer)
        output = answer.get("id") if path.endswith("/outputs") else output
    assert output
    changed = json.loads(next(one.body for one in sent() if one.path == "$href"))
    assert world.record.stream.name == changed["name"]
