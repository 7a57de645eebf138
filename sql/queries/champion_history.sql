-- One row is one spell of one version as champion of its model.
-- $model = all: cloze-pred, cloze-descp, ... or all
select
    model,
    version,
    since,
    until,
    decision,
    policy,
    reason,
    run_id
from champions
where model = $model or $model = 'all'
order by model asc, since desc
