-- One row is one run of a step of ours.
select
    run_id,
    run_name,
    step,
    status,
    paradigm,
    condition,
    experiment,
    parent_run_id,
    started_at,
    ended_at,
    date_diff('millisecond', started_at, ended_at) / 1000 as seconds,
    git_commit,
    reason
from raw.runs
