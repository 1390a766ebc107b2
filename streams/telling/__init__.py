"""Telling people: alerts to an Alertmanager, incidents to webhooks."""

from streams.telling.teller import Teller

__all__ = ["Teller"]
