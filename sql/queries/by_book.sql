-- One row is one book in one evaluation.
-- $metric = rougeL: a metric
-- $reference = own: own, pred, descp, lettering or facts
-- $paradigm = all: pred, descp or all
select
    condition,
    paradigm,
    book,
    count(score) as n,
    avg(score) as score,
    stddev_samp(score) as deviation,
    run_id
from scored
where
    is_newest
    and blind = 'none'
    and metric = $metric
    and (reference = $reference or ($reference = 'own' and is_own))
    and (paradigm = $paradigm or $paradigm = 'all')
group by condition, paradigm, book, run_id
order by condition desc, paradigm desc, score desc, book asc
