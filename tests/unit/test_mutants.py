"""The bugs that `make mutants` puts into the product still find their place in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mutants.bugs import BUGS, Bug

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_bug_changes_one_text_of_the_product_and_has_tests_that_may_see_it(bug: Bug) -> None:
    assert (ROOT / "src" / bug.file).read_text().count(bug.before) == 1
    assert bug.before != bug.after
    assert (ROOT / "tests" / bug.tests.partition(" ")[0].partition("::")[0]).exists()
