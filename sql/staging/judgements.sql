-- One row is one judged text of one run of `judge`.
select
    run_id,
    sequence_id,
    kind,
    state,
    grades,
    rationale,
    reason,
    against,
    judge,
    model,
    input_tokens,
    output_tokens,
    cost_usd
from raw.judgements
