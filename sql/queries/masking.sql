-- One row is one fine-tuning run: what it read, and how little of that carried loss.
select
    runs.run_name,
    runs.paradigm,
    (max(metrics.value) filter (where metrics.name = 'examples'))::bigint as examples,
    (max(metrics.value) filter (where metrics.name = 'tokens'))::bigint as tokens,
    (max(metrics.value) filter (where metrics.name = 'supervised_tokens'))::bigint as supervised_tokens,
    max(metrics.value) filter (where metrics.name = 'masking_ratio') as masking_ratio,
    (max(metrics.value) filter (where metrics.name = 'trainable_parameters'))::bigint as trainable_parameters,
    max(metrics.value) filter (where metrics.name = 'train/loss_final') as loss_final,
    runs.status,
    runs.run_id
from runs
inner join metrics on runs.run_id = metrics.run_id
where runs.step = 'finetune'
group by all
order by max(runs.started_at) desc
