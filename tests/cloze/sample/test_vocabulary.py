import re

from cloze.sample import vocabulary as words

VALUES = {value.lower() for values in words.VALUES.values() for value in values}


def holds(text: str, value: str) -> bool:
    return re.search(rf"\b{re.escape(value.lower())}\b", text.lower()) is not None


def test_no_value_of_a_fact_holds_another():
    assert len(VALUES) == sum(map(len, words.VALUES.values()))
    assert not [(a, b) for a in VALUES for b in VALUES if a != b and holds(a, b)]


def test_no_sentence_holds_a_value_by_accident():
    titles = [script.title for script in words.SCRIPTS.values()]
    verbs = [script.verb for script in words.SCRIPTS.values()]
    lines = [*words.LINES_TO_SELF, *words.LINES_TO_OTHER, *words.ASIDES_TO_SELF, *words.ASIDES_TO_OTHER]
    sentences = [*titles, *verbs, *lines, *words.NARRATIONS]
    assert len(sentences) > 20
    assert not [(sentence, value) for sentence in sentences for value in VALUES if holds(sentence, value)]


def test_each_phrase_holds_its_own_value_and_no_other():
    tables = (words.PLACE_PHRASES, words.TIME_PHRASES, words.WEATHER_PHRASES, words.ACTION_PHRASES)
    for table in tables:
        for value, phrase in table.items():
            assert [other for other in VALUES if holds(phrase, other)] == [value]


def test_every_script_knows_what_follows_each_action():
    for script in words.SCRIPTS.values():
        assert sorted(script.actions) == sorted(words.ACTIONS)
        assert sorted(script.next_action(action) for action in words.ACTIONS) == sorted(words.ACTIONS)


def test_scripts_differ_in_their_verbs_and_in_what_follows_what():
    scripts = words.SCRIPTS.values()
    assert len({script.verb for script in scripts}) == len(scripts)
    assert len({tuple(map(script.next_action, words.ACTIONS)) for script in scripts}) == len(scripts)
