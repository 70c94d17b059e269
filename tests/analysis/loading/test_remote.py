"""Names of objects, which an object store does not restrict as a file system does."""

import pytest

from analysis.loading.remote import is_inside


@pytest.mark.parametrize("name", ["../params.json", "T_0/../../params.json", "..", "./params.json", "/etc", "T_0//x"])
def test_a_name_that_leads_out_of_the_folder_is_none_of_its_files(name: str) -> None:
    assert not is_inside(name)


def test_other_names_are() -> None:
    assert is_inside("T_0/params.json") and is_inside("..params.json")
