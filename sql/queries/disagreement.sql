-- One row is one sequence about which the conditions differ most.
-- $reference = descp: the same for all conditions: pred, descp, lettering or facts
-- $metric = rougeL: a metric; recall where the reference is facts
-- $limit = 10: how many rows
with seen as (
    select
        scored.sequence_id,
        scored.book,
        scored.condition || ' ' || coalesce(scored.paradigm, '') as cell,
        scored.score,
        texts.prediction
    from scored
    inner join texts on scored.run_id = texts.run_id and scored.sequence_id = texts.sequence_id
    where
        scored.is_newest
        and scored.blind = 'none'
        and scored.reference = $reference
        and scored.metric = $metric
        and scored.score is not null
)

select
    sequence_id,
    any_value(book) as book,
    max(score) - min(score) as spread,
    arg_max(cell, score) as best_cell,
    max(score) as best,
    arg_max(prediction, score) as best_text,
    arg_min(cell, score) as worst_cell,
    min(score) as worst,
    arg_min(prediction, score) as worst_text
from seen
group by sequence_id
having count(*) > 1
order by spread desc, sequence_id asc
limit $limit::bigint
