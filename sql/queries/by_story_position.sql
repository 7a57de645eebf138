-- One row is one third of the stories in one evaluation, by where among those that can be told the panel stands.
-- $metric = rougeL: a metric
-- $reference = own: own, pred, descp, lettering or facts
select
    scored.condition,
    scored.paradigm,
    case
        when 3 * story_positions.place <= story_positions.n_of_story then '1 beginning'
        when 3 * story_positions.place <= 2 * story_positions.n_of_story then '2 middle'
        else '3 end'
    end as third,
    count(scored.score) as n,
    avg(scored.score) as score,
    scored.run_id
from scored
inner join evaluations on scored.run_id = evaluations.run_id
inner join story_positions
    on evaluations.sequences_run_id = story_positions.run_id and scored.sequence_id = story_positions.sequence_id
where
    scored.is_newest
    and scored.blind = 'none'
    and scored.metric = $metric
    and (scored.reference = $reference or ($reference = 'own' and scored.is_own))
group by scored.condition, scored.paradigm, third, scored.run_id
order by scored.condition desc, scored.paradigm desc, third asc
