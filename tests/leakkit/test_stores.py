"""What does the kit say of a storage that cannot do what it would look at?"""

from __future__ import annotations

import pytest
from django.core.files.storage import InMemoryStorage, Storage

from tenancy.testing.leaks import stores
from tenancy.testing.leaks.stage import NotCovered


class TestListing:
    def test_of_a_storage_that_lists_nothing_is_not_covered(self) -> None:
        with pytest.raises(NotCovered, match="Storage lists no directories"):
            stores._find_listed(Storage(), "letter.txt")

    def test_of_a_directory_that_there_is_not_finds_nothing(self) -> None:
        assert stores._find_listed(InMemoryStorage(), "letter.txt") == ""
