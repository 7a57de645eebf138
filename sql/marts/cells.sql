-- One row is the mean score of one evaluation by one metric against one reference, with floor, lift and 95 % intervals.
with means as (
    select
        run_id,
        reference,
        metric,
        avg(score) as score,
        count(score) as n
    from scores
    group by run_id, reference, metric
),

floor_means as (
    select
        run_id,
        reference,
        metric,
        floor,
        avg(score) as score
    from floors
    where floor != 'labels'
    group by run_id, reference, metric, floor
),

best_floors as (
    select
        run_id,
        reference,
        metric,
        arg_max(floor, score) as floor_name,
        max(score) as floor
    from floor_means
    group by run_id, reference, metric
),

intervals as (
    select
        run_id,
        regexp_extract(name, '([^/]+)/[^/]+$', 1) as reference,
        regexp_extract(name, '([^/]+)$', 1) as metric,
        max(value) filter (where regexp_full_match(name, 'ci_low/[^/]+/[^/]+')) as low,
        max(value) filter (where regexp_full_match(name, 'ci_high/[^/]+/[^/]+')) as high,
        max(value) filter (where name like 'ci_low/lift/%') as lift_low,
        max(value) filter (where name like 'ci_high/lift/%') as lift_high
    from metrics
    where name like 'ci_%'
    group by all
)

select
    evaluations.run_id,
    evaluations.run_name,
    evaluations.condition,
    evaluations.paradigm,
    evaluations.blind,
    evaluations.split,
    evaluations.is_newest,
    means.reference,
    means.reference = evaluations.paradigm as is_own,
    means.metric,
    means.n,
    means.score,
    intervals.low,
    intervals.high,
    best_floors.floor,
    best_floors.floor_name,
    means.score - best_floors.floor as lift,
    intervals.lift_low,
    intervals.lift_high
from evaluations
inner join means on evaluations.run_id = means.run_id
left join best_floors
    on
        means.run_id = best_floors.run_id
        and means.reference = best_floors.reference
        and means.metric = best_floors.metric
left join intervals
    on
        means.run_id = intervals.run_id
        and means.reference = intervals.reference
        and means.metric = intervals.metric
