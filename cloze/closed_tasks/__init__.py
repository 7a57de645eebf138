"""Which of a few answers is right? The closed tasks of the COMICS paper, answered by several scorers."""
