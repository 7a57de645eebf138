-- One row is one pair of evaluations on the sequences that both scored: b less a, the standard error by book.
-- $metric = rougeL: a metric
-- $reference = own: own (both runs' own paradigm, the same one), pred, descp, lettering or facts
-- $a = : run id of the first; empty is every zero-shot run
-- $b = : run id of the second; empty is every fine-tuned run
with pairs as (
    select
        a.run_id as run_a,
        b.run_id as run_b,
        b.paradigm,
        a.reference,
        a.metric,
        b.book_group,
        b.score - a.score as difference
    from scored as a
    inner join scored as b
        on a.sequence_id = b.sequence_id and a.reference = b.reference and a.metric = b.metric
    where
        a.metric = $metric
        and (a.reference = $reference or ($reference = 'own' and a.is_own and b.is_own))
        and (a.run_id = $a or ($a = '' and a.condition = 'zero-shot' and a.is_newest and a.blind = 'none'))
        and (b.run_id = $b or ($b = '' and b.condition = 'fine-tuned' and b.is_newest and b.blind = 'none'))
        and a.run_id != b.run_id
        and (a.paradigm = b.paradigm or $a != '' or $b != '')
        and a.score is not null
        and b.score is not null
),

means as (
    select
        run_a,
        run_b,
        avg(difference) as mean
    from pairs
    group by run_a, run_b
),

books as (
    select
        pairs.run_a,
        pairs.run_b,
        any_value(pairs.paradigm) as paradigm,
        any_value(pairs.reference) as reference,
        any_value(pairs.metric) as metric,
        any_value(means.mean) as mean,
        count(*) as n,
        count(*) filter (where pairs.difference > 0) as n_better,
        count(*) filter (where pairs.difference < 0) as n_worse,
        sum(pairs.difference - means.mean) as deviation
    from pairs
    inner join means on pairs.run_a = means.run_a and pairs.run_b = means.run_b
    group by pairs.run_a, pairs.run_b, pairs.book_group
)

select
    any_value(paradigm) as paradigm,
    any_value(reference) as reference,
    any_value(metric) as metric,
    any_value(mean) as difference,
    case
        when count(*) > 1
            then sqrt(count(*) / (count(*) - 1) * sum(deviation * deviation)) / sum(n)
    end as standard_error,
    sum(n)::bigint as n_sequences,
    count(*) as n_books,
    sum(n_better)::bigint as n_better,
    sum(n_worse)::bigint as n_worse,
    run_a,
    run_b
from books
group by run_a, run_b
order by paradigm desc, reference asc, run_a asc, run_b asc
