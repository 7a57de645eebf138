-- One row is one drawn panel of one run of `render`.
select
    run_id,
    sequence_id,
    image,
    prompt,
    seed,
    metrics
from raw.renders
