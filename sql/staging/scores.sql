-- One row is the score of one sequence by one metric against one reference, of one run of `eval`.
select
    run_id,
    sequence_id,
    reference,
    metric,
    score
from raw.scores
