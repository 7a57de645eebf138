-- One row is one decision about the champion of a model, of one run of `promote`.
select
    run_id,
    model,
    decision,
    version,
    champion_before,
    champion_after,
    policy,
    reason,
    decided_at
from raw.promotions
