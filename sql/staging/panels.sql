-- One row is one panel of one run of `ingest`.
select
    run_id,
    panel_id,
    book,
    page,
    panel,
    image,
    text,
    bubbles,
    is_cover,
    is_ad
from raw.panels
