"""Drawing what a prediction says: prompt, picture, lettering, and how near it comes to the true panel."""
