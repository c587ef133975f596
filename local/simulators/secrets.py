"""The credentials that the simulated providers accept, and the secrets that they hand out: canaries, all of them.

Each holds the word `canary`, so that a search through logs, events and items finds whatever leaked. None opens
anything anywhere."""

from secrets import token_hex

SECRETS: dict[str, dict[str, str]] = {
    "cloudflare": {
        "account_id": "sim-account",
        "api_token": "canary-cloudflare-api-token-0f6b2f3f9d5c4a71",
        "webhook_secret": "canary-cloudflare-webhook-secret-b7d40c6e15a29f83",
    },
    "overshoot": {"api_key": "ovs-canary-overshoot-api-key-51c7a8e24b0d4f96"},
    "pyannote": {"api_key": "canary-pyannote-api-key-c3e1d09a7f284b65"},
}
"""By provider, in the shape of Headwater's own secrets: these may do everything."""

CLOUDFLARE_GLOBAL_KEY = {
    "account_id": "sim-account",
    "email": "canary-cloudflare-email@example.net",
    "global_api_key": "canary-cloudflare-global-api-key-8a94e7d2c05b4136",
}
CLOUDFLARE_READ_ONLY = {
    "account_id": "sim-account",
    "api_token": "canary-cloudflare-read-token-6de08b1f42c74a93",
}
OVERSHOOT_OTHER_OWNER = {"api_key": "ovs-canary-overshoot-other-key-e07d5b3928fa4c61"}
OVERSHOOT_WITHOUT_CREDITS = {"api_key": "ovs-canary-overshoot-poor-key-29f4c6a10b8e4d75"}
PYANNOTE_OTHER_TEAM = {"api_key": "canary-pyannote-other-key-b18d73f60c9a4e52"}
PYANNOTE_WITHOUT_PERMISSION = {"api_key": "canary-pyannote-unpermitted-key-47a0e9c5d2b84f13"}
PYANNOTE_WITHOUT_CREDIT = {"api_key": "canary-pyannote-poor-key-95b2f8d7a63c4e01"}


def canary(provider: str, what: str) -> str:
    """A new secret that tells where it came from: `canary-<provider>-<what>-<32 hex digits>`."""
    return f"canary-{provider}-{what}-{token_hex(16)}"
