"""The vision-language model: conversation, loading, training, decoding."""
