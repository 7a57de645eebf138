-- One row is the score of one sequence by one metric against one reference in one evaluation, with its book.
select
    evaluations.run_id,
    evaluations.run_name,
    evaluations.condition,
    evaluations.paradigm,
    evaluations.blind,
    evaluations.is_newest,
    scores.sequence_id,
    sequences.book,
    sequences.book_group,
    scores.reference,
    scores.reference = evaluations.paradigm as is_own,
    scores.metric,
    scores.score
from evaluations
inner join scores on evaluations.run_id = scores.run_id
left join sequences
    on evaluations.sequences_run_id = sequences.run_id and scores.sequence_id = sequences.sequence_id
