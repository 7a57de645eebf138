-- One row is one measure of one text of one sequence, of one run of `eval`.
select
    run_id,
    sequence_id,
    text,
    measure,
    value
from raw.measures
