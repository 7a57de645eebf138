-- One row is one predicted sequence of one evaluation, with every text there is about it.
select
    evaluations.run_id,
    evaluations.run_name,
    evaluations.condition,
    evaluations.paradigm,
    evaluations.blind,
    evaluations.is_newest,
    predictions.sequence_id,
    sequences.book,
    sequences.book_group,
    predictions.prediction,
    predictions.finish_reason,
    pred_labels.text as pred_label,
    descp_labels.text as descp_label,
    sequences.lettering
from evaluations
inner join predictions on evaluations.predict_run_id = predictions.run_id
left join sequences
    on evaluations.sequences_run_id = sequences.run_id and predictions.sequence_id = sequences.sequence_id
left join labels as pred_labels
    on evaluations.pred_labels_run_id = pred_labels.run_id and predictions.sequence_id = pred_labels.sequence_id
left join labels as descp_labels
    on evaluations.descp_labels_run_id = descp_labels.run_id and predictions.sequence_id = descp_labels.sequence_id
