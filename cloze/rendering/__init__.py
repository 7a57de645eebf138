"""The sixth panel drawn: prompt, picture, lettering, and how near it comes to the true panel."""
