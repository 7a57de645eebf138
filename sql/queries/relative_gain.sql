-- One row is what fine-tuning on one paradigm gains over zero-shot against one reference, by one metric.
-- $metric = rougeL: a metric of texts, or all
select
    tuned.paradigm,
    tuned.reference,
    tuned.metric,
    base.score as zero_shot,
    tuned.score as fine_tuned,
    tuned.score - base.score as gain,
    100 * (tuned.score - base.score) / nullif(base.score, 0) as gain_percent,
    base.lift as zero_shot_lift,
    tuned.lift as fine_tuned_lift,
    tuned.run_id
from cells as tuned
inner join cells as base
    on
        tuned.paradigm = base.paradigm
        and tuned.reference = base.reference
        and tuned.metric = base.metric
        and tuned.blind = base.blind
        and tuned.split = base.split
where
    tuned.is_newest
    and base.is_newest
    and tuned.condition = 'fine-tuned'
    and base.condition = 'zero-shot'
    and tuned.blind = 'none'
    and tuned.n = base.n
    and (tuned.metric = $metric or $metric = 'all')
order by tuned.metric asc, tuned.paradigm desc, tuned.reference asc
