-- One row is what a trivial predictor scores where `scores` has the prediction; `labels` is a comparator and no floor.
select
    run_id,
    floor,
    sequence_id,
    reference,
    metric,
    score
from raw.floors
