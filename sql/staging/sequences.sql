-- One row is one sequence of one run of `sequences`.
select
    run_id,
    sequence_id,
    book,
    story,
    "group" as book_group,
    split,
    context,
    target,
    struct_extract(target, 'text') as lettering,
    regexp_extract(sequence_id, '/(\d+)_', 1)::integer as page,
    regexp_extract(sequence_id, '_(\d+)$', 1)::integer as panel
from raw.sequences
