-- One row is one finished run of `eval`, with where its predictions and labels come from.
with settings as (
    select
        run_id,
        max(value) filter (where name = 'cfg.predictions') as predictions,
        max(value) filter (where name = 'cfg.sequences') as sequences,
        max(value) filter (where name = 'cfg.pred_labels') as pred_labels,
        max(value) filter (where name = 'cfg.descp_labels') as descp_labels,
        max(value) filter (where name = 'cfg.split') as split,
        max(value) filter (where name = 'cfg.blind') as blind,
        max(value) filter (where name = 'cfg.base') as base,
        max(value) filter (where name = 'cfg.adapter') as adapter,
        max(value) filter (where name = 'cfg.examples') as examples
    from params
    group by run_id
),

sources as (
    select
        runs.run_id,
        runs.run_name,
        runs.condition,
        runs.paradigm,
        runs.started_at,
        settings.split,
        regexp_extract(settings.predictions, '^runs:/([0-9a-f]{32})', 1) as predict_run_id,
        regexp_extract(settings.sequences, '^runs:/([0-9a-f]{32})', 1) as sequences_run_id,
        regexp_extract(settings.pred_labels, '^runs:/([0-9a-f]{32})', 1) as pred_labels_run_id,
        regexp_extract(settings.descp_labels, '^runs:/([0-9a-f]{32})', 1) as descp_labels_run_id
    from runs
    inner join settings on runs.run_id = settings.run_id
    where runs.step = 'eval' and runs.status = 'FINISHED'
)

select
    sources.*,
    coalesce(predicted.blind, 'none') as blind,
    nullif(predicted.base, '') as base,
    nullif(predicted.adapter, '') as adapter,
    row_number() over (
        partition by
            sources.condition, sources.paradigm, sources.split, coalesce(predicted.blind, 'none'), predicted.examples
        order by sources.started_at desc, sources.run_id asc
    ) = 1 as is_newest
from sources
left join settings as predicted on sources.predict_run_id = predicted.run_id
