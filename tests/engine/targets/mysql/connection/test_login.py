"""Login by every method, with TLS wherever there is some, and no password told to whom it does not belong."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.domain import typed_passwords
from engine.domain.errors import PasswordNeededError, TargetUnavailableError
from engine.targets.mysql.connection.address import address
from engine.targets.mysql.connection.connecting import connect
from engine.targets.mysql.connection.server import Flavor
from tests.mysql_databases import MySqlDatabase

PASSWORD = "hörse # 'stäple'"
METHODS = {
    Flavor.MARIADB: {
        "native": "IDENTIFIED VIA mysql_native_password USING PASSWORD('{0}')",
        "ed25519": "IDENTIFIED VIA ed25519 USING PASSWORD('{0}')",
        "parsec": "IDENTIFIED VIA parsec USING PASSWORD('{0}')",
    },
    Flavor.MYSQL: {
        "caching_sha2": "IDENTIFIED WITH caching_sha2_password BY '{0}'",
    },
}
TLS = "SELECT variable_value FROM {}.session_status WHERE variable_name = 'Ssl_version'"


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    typed_passwords.forget()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def load_plugin(database: MySqlDatabase, library: str) -> None:
    if library and not database(f"SELECT 1 FROM information_schema.plugins WHERE plugin_library = '{library}.so'"):
        what = "SONAME" if database.flavor is Flavor.MARIADB else f"PLUGIN {library} SONAME"
        database(f"INSTALL {what} '{library}.so'")


def make_user(database: MySqlDatabase, method: str) -> None:
    """`method`: a key of METHODS, or how the user is identified."""
    load_plugin(database, f"auth_{method}" if method in {"ed25519", "parsec"} else "")
    how = METHODS[database.flavor].get(method, method).format(PASSWORD.replace("'", "''"))
    database("DROP USER IF EXISTS ann", f"CREATE USER ann {how}", f"GRANT SELECT ON {database.name}.* TO ann")


async def tls_of(url: str) -> str:
    """The version of TLS of a connection there; empty without."""
    connection, server = await connect(address(url), name="dbtend 1", lock_timeout=1)
    try:
        schema = "information_schema" if server.flavor is Flavor.MARIADB else "performance_schema"
        (version,) = await connection.row(TLS.format(schema), row=(str,))
    finally:
        await connection.close()
    return str(version)


@pytest.mark.parametrize("method", [*METHODS[Flavor.MARIADB], *METHODS[Flavor.MYSQL]])
@pytest.mark.parametrize("by", ["tcp", "socket"])
async def test_login_by_each_method(database: MySqlDatabase, home: Path, method: str, by: str) -> None:
    if method not in METHODS[database.flavor]:
        pytest.skip(f"{database.flavor} has no {method}")
    make_user(database, method)
    url = database.server.tcp_url(database.name) if by == "tcp" else database.as_user("ann")
    typed_passwords.remember(url, PASSWORD)
    assert bool(await tls_of(url)) is (by == "tcp")
    typed_passwords.remember(url, "wrong")
    with pytest.raises(PasswordNeededError, match="typed is wrong"):
        await tls_of(url)
    assert typed_passwords.typed_for(url) is None
    with pytest.raises(PasswordNeededError, match="none was found"):
        await tls_of(url)


async def test_a_password_comes_from_an_option_file(database: MySqlDatabase, home: Path) -> None:
    make_user(database, "native" if database.flavor is Flavor.MARIADB else "caching_sha2")
    url = database.server.tcp_url(database.name)
    (home / ".my.cnf").write_text(f'[client]\npassword = "{PASSWORD}"\n')
    assert await tls_of(url)
    (home / ".my.cnf").write_text("[client]\npassword = wrong\n")
    with pytest.raises(TargetUnavailableError, match=r"the password is wrong.* \(correct it in /.*/\.my\.cnf\)"):
        await tls_of(url)
    (home / ".my.cnf").write_text(
        f'[prod]\nuser = ann\nhost = 127.0.0.1\nport = {database.server.port}\npassword = "{PASSWORD}"\n'
    )
    assert await tls_of(f"mysql:///{database.name}?group=prod")


@pytest.mark.parametrize("asked", ["SSL", "X509"])
async def test_an_account_that_asks_for_tls_or_a_certificate_is_not_only_told_of_its_password(
    database: MySqlDatabase, home: Path, asked: str
) -> None:
    make_user(database, "native" if database.flavor is Flavor.MARIADB else "caching_sha2")
    database(f"ALTER USER ann REQUIRE {asked}")
    url = database.server.tcp_url(database.name) if asked == "X509" else database.as_user("ann")
    with pytest.raises(PasswordNeededError, match="asks for TLS or a certificate"):
        await tls_of(url)
    typed_passwords.remember(url, PASSWORD)
    with pytest.raises(PasswordNeededError, match="asks for TLS or a certificate"):
        await tls_of(url)
    (home / ".my.cnf").write_text(f'[client]\npassword = "{PASSWORD}"\n')
    with pytest.raises(TargetUnavailableError, match="asks for TLS or a certificate"):
        await tls_of(url)


async def test_the_user_of_the_system_needs_no_password(database: MySqlDatabase) -> None:
    load_plugin(database, "auth_socket" if database.flavor is Flavor.MYSQL else "")
    how = "VIA unix_socket USING" if database.flavor is Flavor.MARIADB else "WITH auth_socket AS"
    make_user(database, f"IDENTIFIED {how} '{getpass.getuser()}'")
    assert await tls_of(database.as_user("ann")) == ""


async def test_without_tls_the_password_itself_is_not_sent(database: MySqlDatabase, home: Path) -> None:
    if database.flavor is Flavor.MARIADB:
        pytest.skip("no method of its own sends the password itself")
    make_user(database, "caching_sha2")
    url = f"{database.server.tcp_url(database.name)}?ssl-mode=DISABLED"
    typed_passwords.remember(url, PASSWORD)
    with pytest.raises(TargetUnavailableError, match="where others can read it"):
        await tls_of(url)
    typed_passwords.remember(database.server.tcp_url(database.name), PASSWORD)
    await tls_of(database.server.tcp_url(database.name))
    assert await tls_of(url) == ""  # the server knows a proof of it now


async def test_with_an_authority_the_server_is_verified(database: MySqlDatabase, home: Path) -> None:
    make_user(database, "native" if database.flavor is Flavor.MARIADB else "caching_sha2")
    url = database.server.tcp_url(database.name)
    typed_passwords.remember(url, PASSWORD)
    ours = home / "ca.pem"
    if database.flavor is Flavor.MYSQL:
        ours.write_bytes((database.server.data / "ca.pem").read_bytes())
        typed_passwords.remember(f"{url}?ssl-ca={ours}", PASSWORD)
        assert await tls_of(f"{url}?ssl-ca={ours}")
    other = await _certificate(home)
    for verified in (f"{url}?ssl-ca={other}", f"{url}?ssl-mode=VERIFY_IDENTITY"):
        with pytest.raises(TargetUnavailableError, match="certificate cannot be verified"):
            await tls_of(verified)
    with pytest.raises(TargetUnavailableError, match="cannot be read"):
        await tls_of(f"{url}?ssl-ca={home}/none.pem")
    with pytest.raises(TargetUnavailableError, match="ssl-mode is unknown"):
        await tls_of(f"{url}?ssl-mode=yes")


async def _certificate(home: Path) -> Path:
    other = home / "other.pem"
    command = ("openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=other", "-out", other,
               "-keyout", home / "key.pem")  # fmt: skip
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    return other
