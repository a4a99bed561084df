"""What we remember: the canonical store, crosswalk, ledger, journal, outbox and their migrations."""
