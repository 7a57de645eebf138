"""Verbs: one small program per entry point."""
