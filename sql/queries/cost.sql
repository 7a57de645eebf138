-- One row is what one run of `label` or `judge` asked and paid for.
with asked as (
    select
        run_id,
        model,
        labeller as asked_by,
        input_tokens,
        output_tokens,
        cost_usd
    from labels
    union all
    select
        run_id,
        model,
        judge as asked_by,
        input_tokens,
        output_tokens,
        cost_usd
    from judgements
)

select
    runs.step,
    runs.run_name,
    runs.paradigm,
    asked.asked_by,
    asked.model,
    count(*) as n,
    sum(asked.input_tokens)::bigint as input_tokens,
    sum(asked.output_tokens)::bigint as output_tokens,
    sum(asked.cost_usd) as cost_usd,
    1000 * sum(asked.cost_usd) / count(*) as usd_per_1000,
    runs.run_id
from asked
inner join runs on asked.run_id = runs.run_id
group by runs.step, runs.run_name, runs.paradigm, asked.asked_by, asked.model, runs.run_id, runs.started_at
order by runs.started_at desc
