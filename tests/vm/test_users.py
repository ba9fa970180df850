"""Which numbers a container image's user has: what runc makes of it."""

from __future__ import annotations

import pytest

from pysquash import SourceError
from pysquash.vm.users import User, resolve_user
from tests.vm.images import GROUP, PASSWD

ROOT = User("root", 0, 0, (), "/root")
APP = User("app", 1000, 1001, (50, 63), "/home/app")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ROOT),
        ("root", ROOT),
        ("0", ROOT),
        ("app", APP),
        ("1000", APP),
        ("01000", APP),
        ("app:staff", User("app", 1000, 50, (), "/home/app")),
        ("app:app", User("app", 1000, 1001, (), "/home/app")),
        ("app:7", User("app", 1000, 7, (), "/home/app")),
        ("app:0", User("app", 1000, 0, (), "/home/app")),
        ("1000:audio", User("app", 1000, 63, (), "/home/app")),
        ("4321", User("", 4321, 0, (), "/")),
        ("4321:staff", User("", 4321, 50, (), "/")),
        ("4321:8765", User("", 4321, 8765, (), "/")),
        (":staff", User("root", 0, 50, (), "/root")),
        ("2147483647", User("", 2147483647, 0, (), "/")),
    ],
)
def test_users(text: str, wanted: User) -> None:
    assert resolve_user(text, PASSWD, GROUP, source="image") == wanted


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("nobody", "image: its user 'nobody' is not in the image's etc/passwd"),
        ("app:wheel", "its user's group 'wheel' is not in the image's etc/group"),
        ("a:b:c", "is not USER or USER:GROUP"),
        ("app:", "is not USER or USER:GROUP"),
        ("2147483648", "id 2147483648, the limit is 2147483647"),
        ("app:99999999999999999999", "the limit is 2147483647"),
        ("-1", "is not in the image's etc/passwd"),
        ("\u0661", "is not in the image's etc/passwd"),
    ],
)
def test_users_that_are_not_there(text: str, match: str) -> None:
    with pytest.raises(SourceError, match=match):
        resolve_user(text, PASSWD, GROUP, source="image")


def test_without_files_numbers_only() -> None:
    assert resolve_user("", None, None, source="image") == User("", 0, 0, (), "/")
    assert resolve_user("5:6", None, None, source="image") == User("", 5, 6, (), "/")
    with pytest.raises(SourceError, match="'root' is a name, and there is no etc/passwd"):
        resolve_user("root", None, None, source="image")
    with pytest.raises(SourceError, match="'staff' is a name, and there is no etc/group"):
        resolve_user("5:staff", None, None, source="image")


def test_the_first_line_counts_and_what_is_none_is_passed_over() -> None:
    passwd = "\n# app:x:1:1::/a:\n+nis\n:x:2:2::/b:\napp\napp:x:y:3::/c:\napp:x:4:5\napp:x:6:7::/d:/bin/sh\n"
    assert resolve_user("app", passwd, "", source="image") == User("app", 4, 5, (), "/")
    assert resolve_user("6", passwd, "", source="image") == User("app", 6, 7, (), "/d")


def test_a_name_that_is_a_number_is_a_number() -> None:
    passwd = "1000:x:5:5::/five:\nn:x:1000:6::/six:\n"
    assert resolve_user("1000", passwd, "", source="image").home == "/six"


def test_supplementary_groups_are_named_once_and_without_the_primary_one() -> None:
    group = "a:x:1001:app\nb:x:7:app\nc:x:7:app\nd:x:8:apple\n"
    assert resolve_user("app", PASSWD, group, source="image").additional_gids == (7,)
