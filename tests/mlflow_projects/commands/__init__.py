"""Tests of what the `cloze` command can do."""
