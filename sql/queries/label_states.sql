-- One row is one state of the labels of one run.
select
    any_value(runs.run_name) as run_name,
    labels.paradigm,
    labels.labeller,
    labels.state,
    count(*) as n,
    100 * count(*) / sum(count(*)) over (partition by labels.run_id) as percent,
    any_value(labels.reason) as a_reason,
    labels.run_id
from labels
inner join runs on labels.run_id = runs.run_id
group by labels.run_id, labels.paradigm, labels.labeller, labels.state
order by labels.paradigm desc, labels.run_id asc, n desc
