"""What the `cloze` command can do, a module each."""
