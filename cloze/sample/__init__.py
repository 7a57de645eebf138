"""The drawn comic world that stands in for COMICS where no data is at hand."""
