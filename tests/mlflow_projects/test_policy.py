"""A policy is a YAML file with figures that a person set; whatever it does not understand is refused."""

import pytest
import yaml

from cloze.errors import DataError, SettingsError
from mlflow_projects.policy import POLICIES, Champion, Lift, load_policy

RULES = {"lift": {"metric": "rougeL", "above": 0.1}}


@pytest.fixture
def read(tmp_path):
    def read(**content):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(content))
        return load_policy(str(path))

    return read


def test_the_default_asks_for_every_rule_and_says_what_each_means():
    policy = load_policy("default")
    assert all(vars(policy.rules).values())
    assert policy.rules.champion == Champion(metric="rougeL", above=0.0)
    assert policy.predict == {"split": "test", "examples": "0"}
    assert policy.text.count("#") > 10
    assert policy.text == (POLICIES / "default.yaml").read_text()


def test_a_rule_that_is_left_out_is_not_asked_for(read):
    policy = read(rules=RULES)
    assert policy.rules.lift == Lift(metric="rougeL", above=0.1)
    assert [name for name, rule in vars(policy.rules).items() if rule] == ["lift"]
    assert (policy.predict, policy.eval) == ({}, {})


def test_its_name_changes_with_its_content(read):
    name = read(rules=RULES).name
    assert name.startswith("mine ")
    assert read(rules={"lift": {"metric": "rougeL", "above": 0.2}}).name != name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"rules": RULES, "promote": {}}, "the file has 'promote'"),
        ({}, "rules is None"),
        ({"rules": ["lift"]}, "rules is .*a mapping"),
        ({"rules": {"lifts": RULES["lift"]}}, "rules has 'lifts'"),
        ({"rules": {"lift": {"metric": "rougeL"}}}, "lift has no `above`"),
        ({"rules": {"lift": {"metric": "rougeL", "above": "0.1"}}}, "lift.above is '0.1'; a number"),
        ({"rules": {"lift": {"metric": "rougeL", "above": True}}}, "lift.above is True; a number"),
        ({"rules": {"lift": {"metric": "rouge-L", "above": 0}}}, "lift.metric names 'rouge-L'; .*rougeL"),
        ({"rules": {"lift": {"metric": "rougeL", "above": 0, "margin": 1}}}, "lift has 'margin'"),
        ({"rules": {"contamination": {"books": 0.5}}}, "contamination.books is 0.5; a whole number"),
        ({"rules": {"champion": {"metric": "rougeL", "above": 0, "may_differ": "base"}}}, "champion.may_differ is"),
        (
            {"rules": {"slices": {"metric": "bleu", "by": ["year"], "worst": 0, "sequences": 1}}},
            "slices.by names 'year'",
        ),
        ({"rules": RULES, "predict": "test"}, "predict is 'test'; parameters"),
    ],
)
def test_what_it_does_not_understand_is_refused(read, content, message):
    with pytest.raises(DataError, match=rf"mine\.yaml: {message}"):
        read(**content)


def test_no_such_policy_names_those_there_are():
    with pytest.raises(SettingsError, match="default"):
        load_policy("strict")
