-- One row is one of the best or worst predictions of one evaluation.
-- $run = : id of an evaluation; empty is the newest fine-tuned one of the paradigm
-- $paradigm = pred: whose labels to go by
-- $metric = rougeL: a metric of texts
-- $limit = 5: how many of either kind
with chosen as (
    select run_id
    from evaluations
    where
        run_id = $run
        or ($run = '' and is_newest and condition = 'fine-tuned' and paradigm = $paradigm and blind = 'none')
    order by started_at desc
    limit 1
),

ranked as (
    select
        scored.run_id,
        scored.sequence_id,
        scored.book,
        scored.score,
        row_number() over (order by scored.score desc, scored.sequence_id asc) as place_from_best,
        row_number() over (order by scored.score, scored.sequence_id) as place_from_worst
    from scored
    inner join chosen on scored.run_id = chosen.run_id
    where scored.reference = $paradigm and scored.metric = $metric and scored.score is not null
)

select
    case when ranked.place_from_best <= $limit::bigint then 'best' else 'worst' end as kind,
    ranked.sequence_id,
    ranked.book,
    ranked.score,
    texts.prediction,
    case $paradigm when 'pred' then texts.pred_label else texts.descp_label end as label,
    texts.lettering
from ranked
inner join texts on ranked.run_id = texts.run_id and ranked.sequence_id = texts.sequence_id
where ranked.place_from_best <= $limit::bigint or ranked.place_from_worst <= $limit::bigint
order by ranked.place_from_best
