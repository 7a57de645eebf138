"""What evaluated runs say, for people: one HTML page and one table for the terminal."""
