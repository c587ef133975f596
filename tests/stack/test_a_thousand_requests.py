"""A thousand StreamRequested on the bus at once: each stream is opened or refused once, told once, and nothing is lost.

At providers that keep to their limits: of creates a minute and a second, of streams, and with a word to come later.
"""

from collections import Counter
from collections.abc import Iterator

import pytest

from local.cloud import HOME, LocalCloud
from tests.stack.bus import subscribed
from tests.stack.conftest import MANY, TOLD, deployed
from tests.stack.doors import CREATES, Door, doors_of
from tests.stack.rush import OPENED, REFUSED, SHARES, Rush, Seen, at_once, carried_out, refused_creates, wishes
from tests.stack.storage import Storage
from tests.stack.ways import PROVIDERS

CONCURRENCY = 2
"""Messages of one queue that are worked on at a time; two cores have no more."""
SHORT_RETURN = {"FunctionTimeout": "10", "QueueVisibility": "60", "ProviderConcurrency": str(CONCURRENCY)}
"""What was told to come later comes again after a minute: one that pyannoteAI counts creates by."""
CREATES_A_SECOND = 4
"""Kinesis Video's, that this machine must run into; the service has 50."""
ROOM = 210
"""For streams at Kinesis Video, fewer than are asked for."""
LATER = 30
"""So many creates Overshoot tells to come later."""
CREATES_A_MINUTE = 100
"""pyannoteAI's."""
SLOW, SLOW_SECONDS = 40, 0.4
"""So many of Cloudflare's creates take their time: whoever may be under way beside them is."""
EACH_PROVIDER = pytest.mark.parametrize("provider", PROVIDERS)


@pytest.fixture(scope="module")
def rush(request: pytest.FixtureRequest) -> Iterator[Rush]:
    """Over, in a deployment of its own: whoever lists streams would have to page through these."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def tell(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n  {line}", end="", flush=True)

    with (
        deployed(LocalCloud(HOME / "rush"), SHORT_RETURN) as cloud,
        doors_of(cloud) as doors,
        doors["kinesis-video"].set(creates_per_second=CREATES_A_SECOND, stream_limit=ROOM),
        doors["overshoot"].set(lease_seconds=3600),  # longer than this takes
        doors["pyannote"].set(streams_at_once=MANY, creates_per_minute=CREATES_A_MINUTE),
        subscribed(cloud, "rush") as subscriber,
    ):
        doors["overshoot"].fault("status", status=429, headers={"Retry-After": "1"}, times=LATER)
        doors["cloudflare"].fault("slow", seconds=SLOW_SECONDS, times=SLOW)
        rush = Rush(cloud, subscriber, Storage(cloud), doors, wishes(), tell)
        rush.run()
        request.config.stash.setdefault(TOLD, []).extend(summary(rush))
        yield rush


def summary(rush: Rush) -> Iterator[str]:
    """For whoever wants to know how it went."""
    yield f"{len(rush.wishes)} requests at once: over after {rush.seconds['all']:.0f} s"
    for provider, share in SHARES.items():
        calls, refused = rush.doors[provider].calls(), refused_creates(rush.doors[provider])
        told = f"settled after {rush.seconds[provider]:.0f} s, {len(calls)} calls, {refused} creates refused"
        yield f"  {provider:14} {share} streams: {told}, at most {at_once(calls)} at once"


@pytest.fixture(scope="module")
def seen(rush: Rush) -> Seen:
    return rush.seen()


def test_it_was_a_thousand_and_some_asked_for_the_same(rush: Rush) -> None:
    assert len(rush.wishes) == 1000
    assert Counter(rush.asked.values()) == SHARES


@EACH_PROVIDER
def test_each_stream_is_opened_once_or_refused_once_and_told_once(provider: str, seen: Seen) -> None:
    refused = SHARES[provider] - ROOM if provider == "kinesis-video" else 0
    assert seen.accounts()[provider] == +Counter({OPENED: SHARES[provider] - refused, REFUSED: refused})


@EACH_PROVIDER
def test_a_provider_has_made_what_is_recorded_and_nothing_besides(provider: str, rush: Rush, seen: Seen) -> None:
    assert seen.strays()[provider] == set()
    opened = seen.accounts()[provider][OPENED]
    assert len(seen.there[provider]) == opened
    assert len(carried_out(rush.doors[provider].creates())) == opened
    assert rush.doors[provider].violations() == []


def test_there_is_nothing_that_nobody_asked_for(seen: Seen) -> None:
    assert seen.others() == set()


def test_no_event_comes_twice(rush: Rush) -> None:
    ids = Counter(event["detail"].get("event_id") for event in rush.subscriber.received)
    del ids[None]  # commands of ours to ourselves
    assert max(ids.values()) == 1


def test_there_are_no_dead_letters(rush: Rush) -> None:
    assert set(rush.dead_letters().values()) == {0}


def test_no_function_met_what_it_did_not_foresee(rush: Rush) -> None:
    assert [line for line in rush.storage.log_lines() if '"level":"ERROR"' in line.replace(" ", "")] == []


def test_no_circuit_has_opened(rush: Rush) -> None:
    """A provider that asks to slow down is there."""
    assert [line for line in rush.storage.log_lines() if '"CircuitOpened"' in line] == []


# ---- the providers' limits


@EACH_PROVIDER
def test_no_more_is_under_way_at_a_provider_than_this_deployment_allows(provider: str, rush: Rush) -> None:
    assert 1 <= at_once(rush.doors[provider].calls()) <= CONCURRENCY
    assert provider != "cloudflare" or at_once(rush.doors[provider].creates()) == CONCURRENCY


def test_cloudflare_never_has_to_refuse(rush: Rush) -> None:
    """A call too many and it refuses all for five minutes."""
    assert refused_creates(rush.doors["cloudflare"]) == 0


def test_who_is_told_to_come_later_by_pyannote_does_not_ask_again_in_that_minute(rush: Rush) -> None:
    """Each message asks once at most; then it waits for longer than a minute lasts."""
    messages = sum(wish.provider == "pyannote" for wish in rush.wishes)
    assert refused_creates(rush.doors["pyannote"]) <= messages - CREATES_A_MINUTE


def test_overshoot_s_word_to_come_later_is_kept(rush: Rush) -> None:
    assert refused_creates(rush.doors["overshoot"]) == LATER
    assert rush.doors["overshoot"].faults() == []


def test_kinesis_video_has_refused_and_every_refusal_was_of_a_limit(rush: Rush) -> None:
    assert refusals(rush.doors["kinesis-video"]) == {"slow down", "no room"}


def refusals(door: Door) -> set[str]:
    """What the refused creates were told."""
    words = {"limit of allowed client calls": "slow down", "streams created for the account": "no room"}
    told = [str(call["response"]) for call in door.calls(CREATES[door.name]) if call["status"] != 200]
    return {next((word for text, word in words.items() if text in one), one) for one in told}


# ---- the account itself


@EACH_PROVIDER
def test_the_account_would_show_what_is_lost_or_done_twice(provider: str, seen: Seen) -> None:
    [victim, *_] = [one for one, where in seen.asked.items() if where == provider and opened(seen, one)]
    [event] = [event for event in seen.events if event["detail"]["data"]["stream"]["id"] == victim]
    right = seen.accounts()[provider]
    assert seen.without_event(victim).accounts()[provider] != right
    assert seen.without_record(victim).accounts()[provider] != right
    assert seen.with_event(event).accounts()[provider] != right
    assert seen.with_another(provider).strays()[provider] == {"another"}


def opened(seen: Seen, stream_id: str) -> bool:
    """Whether that stream was made."""
    return bool(seen.records[stream_id]["stream"].get("provider_ref"))
