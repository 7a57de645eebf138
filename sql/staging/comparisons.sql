-- One row is one contrast of evaluated runs by one metric, of one run of `report`.
select
    run_id,
    family,
    reference,
    metric,
    contrast,
    run_a,
    run_b,
    difference,
    low,
    high,
    p,
    p_holm,
    p_joint,
    n_sequences,
    n_books,
    differs
from raw.comparisons
