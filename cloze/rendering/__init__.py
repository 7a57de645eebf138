"""The sixth panel drawn: prompts, Stable Diffusion with LoRA, lettering, and what a drawing is judged by."""
