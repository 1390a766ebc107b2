"""The demo: the whole loop on an embedded broker and ledger, against a simulated service."""
