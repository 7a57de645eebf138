-- One row is one evaluation's recall of the facts of panel 6, by where they could be seen.
-- $blind = all: none, images, text, order, or all
select
    condition,
    paradigm,
    blind,
    case metric
        when 'recall' then 'anywhere'
        when 'recall_picture' then 'picture only'
        when 'recall_lettering' then 'lettering only'
        else 'both'
    end as seen_in,
    n,
    score as recall,
    floor,
    floor_name,
    lift,
    lift_low,
    lift_high,
    run_id
from cells
where is_newest and reference = 'facts' and (blind = $blind or $blind = 'all')
order by condition desc, paradigm desc, blind desc, metric asc
