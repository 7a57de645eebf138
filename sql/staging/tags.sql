-- One row is one tag of one run.
select
    run_id,
    name,
    value
from raw.tags
