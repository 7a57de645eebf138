-- One row is one predicted sequence of one run of `predict`.
select
    run_id,
    sequence_id,
    prediction,
    finish_reason,
    prompt_tokens,
    output_tokens,
    seconds
from raw.predictions
