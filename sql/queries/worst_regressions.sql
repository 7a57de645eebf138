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
),

lost as (
    select
        tuned.sequence_id,
        tuned.book,
        base.score as zero_shot,
        tuned.score as fine_tuned,
        tuned.score - base.score as difference,
        base.run_id as zero_shot_run,
        tuned.run_id as fine_tuned_run
    from own as tuned
    inner join own as base on tuned.sequence_id = base.sequence_id and base.condition = 'zero-shot'
    where tuned.condition = 'fine-tuned' and tuned.score < base.score
    order by difference, tuned.sequence_id
    limit $limit::bigint
)

select
    lost.sequence_id,
    lost.book,
    lost.zero_shot,
    lost.fine_tuned,
    lost.difference,
    base_text.prediction as zero_shot_text,
    tuned_text.prediction as fine_tuned_text,
    case $paradigm when 'pred' then tuned_text.pred_label else tuned_text.descp_label end as label
from lost
inner join predicted as base_text
    on lost.zero_shot_run = base_text.run_id and lost.sequence_id = base_text.sequence_id
inner join texts as tuned_text
    on lost.fine_tuned_run = tuned_text.run_id and lost.sequence_id = tuned_text.sequence_id
order by lost.difference, lost.sequence_id
