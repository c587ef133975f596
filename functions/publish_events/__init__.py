"""Outbox → bus: what was recorded is published."""
