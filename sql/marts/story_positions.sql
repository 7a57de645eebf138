-- One row is one sequence with its place among all sequences of its story, the first being 1.
select
    run_id,
    sequence_id,
    story,
    row_number() over (
        partition by run_id, book, story
        order by page, panel
    ) as place,
    count(*) over (partition by run_id, book, story) as n_of_story
from sequences
