"""One text over three databases: PostgreSQL, MariaDB and SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .runs import Database

#: Gives a database of that kind, empty.
GiveDatabase = Callable[[str], Database]


@pytest.fixture(scope="session")
def shared_databases() -> Iterator[dict[str, Database]]:
    """One of each kind, made when it is asked for first: emptying takes less than making."""
    databases: dict[str, Database] = {}
    yield databases
    for database in databases.values():
        database.close()


@pytest.fixture
def give_database(
    request: pytest.FixtureRequest,
    shared_databases: dict[str, Database],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GiveDatabase]:
    given = []

    def give(kind: str) -> Database:
        if kind not in shared_databases:
            match kind:
                case "sqlite":
                    url = f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'jobs.sqlite'}"
                case "postgresql":
                    url = request.getfixturevalue("postgres_url")
                case _:
                    url = request.getfixturevalue("mariadb_url")
            shared_databases[kind] = Database(kind, url)
        database = shared_databases[kind]
        given.append(database)
        database.empty()
        return database

    yield give
    for database in given:
        database.close()


@pytest.fixture(params=["postgresql", "mariadb", "sqlite"])
def database(request: pytest.FixtureRequest, give_database: GiveDatabase) -> Database:
    """A database with the table of fences and one for effects."""
    return give_database(request.param)


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest, give_database: GiveDatabase) -> Database:
    """The same, of those where two may write at once."""
    return give_database(request.param)


@pytest.fixture
def postgres(give_database: GiveDatabase) -> Database:
    return give_database("postgresql")


@pytest.fixture
def mariadb(give_database: GiveDatabase) -> Database:
    return give_database("mariadb")


@pytest.fixture
def sqlite(give_database: GiveDatabase) -> Database:
    return give_database("sqlite")
