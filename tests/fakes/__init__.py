"""Servers on loopback that speak other people's protocols, and break them on demand."""
