-- One row is one fact of one panel, of one run of `ingest`; only the sample has any.
select
    run_id,
    panel_id,
    fact,
    value,
    seen_in
from raw.facts
