-- One row is one sequence under one paradigm, of one run of `label`.
select
    run_id,
    sequence_id,
    paradigm,
    state,
    text,
    reason,
    labeller,
    model,
    prompt_digest,
    input_tokens,
    output_tokens,
    cost_usd
from raw.labels
