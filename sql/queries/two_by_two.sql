-- One row is the newest evaluation of one condition under one paradigm.
-- $metric = rougeL: a metric of texts, or of facts (recall)
-- $reference = own: own (labels of the run's own paradigm), pred, descp, lettering or facts
-- $blind = none: none, images, text, order, or all
select
    condition,
    paradigm,
    blind,
    reference,
    n,
    score,
    low,
    high,
    floor,
    floor_name,
    lift,
    lift_low,
    lift_high,
    run_id
from cells
where
    is_newest
    and metric = $metric
    and (reference = $reference or ($reference = 'own' and is_own))
    and (blind = $blind or $blind = 'all')
order by condition desc nulls last, paradigm desc, blind desc, reference asc
