"""Decisions from forecasts and observations: pure functions of their inputs and an injected clock."""
