-- One row is one spell of one version as champion of its model.
select
    model,
    champion_after as version,
    decided_at as since,
    lead(decided_at) over (
        partition by model
        order by decided_at
    ) as until,
    decision,
    policy,
    reason,
    run_id
from promotions
where decision <> 'refused'
qualify champion_after is not null
