"""What every kind of provider's seeds must come to, so that a simulation that became harmless is seen to be so."""

STEPS = (
    *("store.claim", "store.load", "store.update", "store.settle"),
    *("provider.create", "provider.read", "vault.seal", "vault.unseal"),
    *("sweep.query", "sweep.move_on", "bus.send"),
)
"""The calls of every kind; each must have failed in every way, and been the last of somebody."""

EVERYWHERE = {
    "killed at its timeout": 50,
    "conflict": 50,
    "superseded": 10,
    "frozen: store.settle": 5,
    "taken over": 500,
    "begun anew": 30,
    "opened": 500,
    "replayed": 500,
    "accepted": 200,
    "accepted again": 200,
    "accepted while it is made": 50,
    "not accepted: a caller who waits has it made": 50,
    "swept": 300,
    "two sweeps at once": 30,
    "message delivered twice": 100,
    "message received again": 300,
    "published twice": 50,
    "answer: creation-in-progress": 300,
    "answer: idempotency-key-reused": 100,
    "answer: stream-ended": 500,
    "ended: deleted": 300,
    "ended: expired": 100,
    "failed: creation-abandoned": 5,
    "failed: invalid-request": 20,
    "failed: provider-rejected": 5,
    "failed: provider-payment-required": 5,
    "a create is sent twice": 5,
}
