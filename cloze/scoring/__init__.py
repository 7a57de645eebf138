"""Scores of predictions against references, their floors and intervals. Reads tables only."""
