-- One row is one parameter of one run; `cfg.*` are the effective settings.
select
    run_id,
    name,
    value
from raw.params
