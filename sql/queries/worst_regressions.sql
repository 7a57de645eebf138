-- One row is one sequence on which fine-tuning lost most against zero-shot.
-- $paradigm = pred: whose adapter and labels
-- $metric = rougeL: a metric of texts
-- $limit = 10: how many rows
with own as (
    select
        sequence_id,
        book,
        condition,
        score,
        run_id
    from scored
    where is_newest and is_own and blind = 'none' and paradigm = $paradigm and metric = $metric
)

select
    tuned.sequence_id,
    tuned.book,
    base.score as zero_shot,
    tuned.score as fine_tuned,
    tuned.score - base.score as difference,
    base_text.prediction as zero_shot_text,
    tuned_text.prediction as fine_tuned_text,
    case $paradigm when 'pred' then tuned_text.pred_label else tuned_text.descp_label end as label
from own as tuned
inner join own as base on tuned.sequence_id = base.sequence_id and base.condition = 'zero-shot'
inner join texts as tuned_text on tuned.run_id = tuned_text.run_id and tuned.sequence_id = tuned_text.sequence_id
inner join texts as base_text on base.run_id = base_text.run_id and base.sequence_id = base_text.sequence_id
where tuned.condition = 'fine-tuned' and tuned.score < base.score
order by difference, tuned.sequence_id
limit $limit::bigint
