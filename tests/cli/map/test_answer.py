from itertools import product

import pytest

from lava_s3trigger.cli.deployed.answer import Answer, all_of, answer, any_of

ORDER = [Answer.NO, Answer.UNKNOWN, Answer.YES]


@pytest.mark.parametrize("answers", [[], *product(ORDER, repeat=1), *product(ORDER, repeat=3)])
def test_all_is_the_least_answer_and_any_the_greatest(answers: list[Answer]) -> None:
    ranks = [ORDER.index(one) for one in answers]
    assert all_of(answers) is ORDER[min(ranks, default=2)]
    assert any_of(answers) is ORDER[max(ranks, default=0)]
    assert any_of(~one for one in answers) is ~all_of(answers)


def test_an_answer_is_not_a_truth_value() -> None:
    assert (answer(True), answer(False)) == (Answer.YES, Answer.NO)
    with pytest.raises(TypeError):
        bool(Answer.UNKNOWN)
