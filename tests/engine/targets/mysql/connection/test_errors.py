"""Errors of a connection name their cause, and what to do about it."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pymysql
import pytest

from engine.domain.errors import ServerUnavailableError, UsageError
from engine.domain.statuses import Reason
from engine.targets.mysql.connection.address import address
from engine.targets.mysql.connection.errors import connecting_error, explain, reading_error, reason_of

HERE = "mysql://ann@db1:3306/shop"


def certificate_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "IP address mismatch"
    return error


def test_a_certificate_of_another_name_is_not_one_of_an_unknown_authority() -> None:
    assert "?ssl-mode=VERIFY_CA" in connecting_error(HERE, certificate_error(64)).hint
    assert "?ssl-ca=PATH" in connecting_error(HERE, certificate_error(20)).hint


@pytest.mark.parametrize(
    "error",
    [
        pymysql.OperationalError(3, "Error writing file '/tmp/MYfd=37' (Errcode: 28 \"No space left on device\")"),
        pymysql.OperationalError(1114, "The table '/tmp/#sql1_2_3' is full"),
    ],
)
def test_a_catalog_that_cannot_be_read_for_want_of_disk_space_says_so(error: pymysql.MySQLError) -> None:
    assert reading_error(HERE, error).why == "the disk of the server is full"


def test_the_grant_for_a_database_quotes_its_names() -> None:
    error = pymysql.OperationalError(1044, "Access denied for user 'it's'@'10.%' to database 'a`b'")
    assert connecting_error("x", error, database="a`b").hint.endswith("GRANT SELECT ON `a``b`.* TO 'it''s'@'10.%';")


def test_a_name_that_cannot_be_resolved_is_said_to_be_one() -> None:
    error = connecting_error(HERE, socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    assert error.why == "its host name cannot be resolved"


def test_a_socket_that_this_user_may_not_use_is_no_server_that_is_down() -> None:
    error = connecting_error(HERE, PermissionError(13, "Permission denied"))
    assert error.why == "no permission to use its socket"
    assert not isinstance(error, ServerUnavailableError)  # nobody waits for it


@pytest.mark.parametrize(("mode", "is_ignored"), [(0o600, False), (0o666, True)])
def test_an_option_file_that_everybody_may_change_is_told_where_the_password_is_missing(
    mode: int, *, is_ignored: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (file := tmp_path / ".my.cnf").touch()
    file.chmod(mode)
    error = connecting_error(HERE, pymysql.OperationalError(1045, "Access denied"))
    assert (f"{file} is ignored" in error.hint) is is_ignored


def test_a_parameter_of_other_tools_names_the_one_that_is_meant() -> None:
    with pytest.raises(UsageError, match="did you mean ssl-mode"):
        address(f"{HERE}?sslmode=require")
    with pytest.raises(UsageError, match="there are socket, ") as error:
        address(f"{HERE}?h0rsebattery=1")
    assert "h0rse" not in str(error.value)


@pytest.mark.parametrize(
    ("message", "is_of_galera"),
    [("WSREP has not yet prepared node for application use", True), ("Unknown command", False)],
)
def test_an_unknown_command_is_said_to_be_of_galera_where_galera_says_it(message: str, *, is_of_galera: bool) -> None:
    error = pymysql.OperationalError(1047, message)
    told = [connecting_error(HERE, error).why, reading_error(HERE, error).why, explain(error, waited=1.0)]
    assert ["Galera" in text for text in told] == [is_of_galera] * 3
    assert all(message in text for text in told) is not is_of_galera
    assert (reason_of(error) is Reason.TARGET_BUSY) is is_of_galera
