"""From comic files to panels, stories and sequences."""
