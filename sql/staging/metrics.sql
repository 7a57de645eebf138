-- One row is the last value of one metric of one run.
select
    run_id,
    name,
    value
from raw.metrics
