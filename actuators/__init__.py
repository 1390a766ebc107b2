"""Hands on the world: one file per platform behind one small port, and the ledger."""
