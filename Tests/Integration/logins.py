"""Logins whose passwords somebody else judges."""

import psycopg
import pytest


def gets_in(pooler, user="ann", password="ann's password", database="app"):
    """Logs in and runs a query."""
    with pooler.connect(database, user=user, password=password) as connection:
        return connection.execute("select 1").fetchone() == (1,)


def is_refused_by(method, pooler, user="ann", password="wrong"):
    """The login fails as it should, and tells nothing."""
    with pytest.raises(psycopg.OperationalError) as failure:
        pooler.connect(user=user, password=password)
    assert str(failure.value).rstrip().endswith(f"FATAL:  {method} authentication failed")
    return True
