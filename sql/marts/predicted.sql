-- One row is one predicted sequence of one evaluation.
select
    evaluations.run_id,
    evaluations.condition,
    evaluations.paradigm,
    predictions.sequence_id,
    predictions.prediction
from evaluations
inner join predictions on evaluations.predict_run_id = predictions.run_id
