-- One row is one sequence about which the conditions differ most.
-- $reference = descp: the same for all conditions: pred, descp, lettering or facts
-- $metric = rougeL: a metric; recall where the reference is facts
-- $limit = 10: how many rows
with spreads as (
    select
        sequence_id,
        any_value(book) as book,
        max(score) - min(score) as spread,
        max(score) as best,
        min(score) as worst,
        arg_max(run_id, score) as best_run,
        arg_min(run_id, score) as worst_run
    from scored
    where is_newest and blind = 'none' and reference = $reference and metric = $metric and score is not null
    group by sequence_id
    having count(*) > 1
    order by spread desc, sequence_id asc
    limit $limit::bigint
)

select
    spreads.sequence_id,
    spreads.book,
    spreads.spread,
    best_text.condition || ' ' || coalesce(best_text.paradigm, '') as best_cell,
    spreads.best,
    best_text.prediction as best_text,
    worst_text.condition || ' ' || coalesce(worst_text.paradigm, '') as worst_cell,
    spreads.worst,
    worst_text.prediction as worst_text
from spreads
inner join predicted as best_text
    on spreads.best_run = best_text.run_id and spreads.sequence_id = best_text.sequence_id
inner join predicted as worst_text
    on spreads.worst_run = worst_text.run_id and spreads.sequence_id = worst_text.sequence_id
order by spreads.spread desc, spreads.sequence_id asc
