-- One row is one similarity of one drawn panel, or of what a floor has in its place (`floor`), of one run of `render`.
with listed as (

    select
        run_id,
        sequence_id,
        unnest(metrics) as scored
    from raw.renders

),

named as (

    select
        run_id,
        sequence_id,
        struct_extract(scored, 'metric') as metric,
        struct_extract(scored, 'score') as score
    from listed

)

select
    run_id,
    sequence_id,
    case when starts_with(metric, 'floor/') then split_part(metric, '/', 2) else '' end as floor,
    split_part(metric, '/', -1) as metric,
    score
from named
