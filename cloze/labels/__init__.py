"""What labeller and model are asked, and the labels that come back."""
