"""One file per claim about speed; each prints the ratio and its spread."""
