"""Startup parameters and settings that belong to a client, not to a server."""

import pytest

from wire import PROTOCOL_3_0, Closed, Refused, Wire, errors, packet

TRACKED = [
    pytest.param("application_name", "my app", marks=pytest.mark.recent),
    ("DateStyle", "German, DMY"), ("TimeZone", "Asia/Tokyo"),
    ("client_encoding", "LATIN1"), ("standard_conforming_strings", "off"),
]


@pytest.mark.parametrize("name, value", TRACKED)
def test_startup_parameter_follows_the_client(lone, name, value):
    """A client's value is set on whatever server it gets, and gone for the next client."""
    plain, special = lone.wire(), lone.wire(**{name: value})
    usual = plain.value(f"show {name}")
    for _ in range(3):
        assert special.value(f"show {name}").lower() == value.lower()
        assert plain.value(f"show {name}") == usual


@pytest.mark.parametrize("name, value", TRACKED)
def test_set_follows_the_client(lone, name, value):
    """SET of a reported setting is tracked per client."""
    plain, special = lone.wire(), lone.wire()
    usual = plain.value(f"show {name}")
    special.query(f"set {name} = '{value}'")
    for _ in range(3):
        assert plain.value(f"show {name}") == usual
        assert special.value(f"show {name}").lower() == value.lower()


def test_rolled_back_set_is_not_kept(lone):
    """A SET that is rolled back never happened."""
    client, other = lone.wire(application_name="before"), lone.wire()
    client.query("begin")
    client.query("set application_name = 'inside'")
    client.query("rollback")
    other.query("select 1")
    assert client.value("show application_name") == "before"


def test_login_reports_the_values(lone):
    """The ParameterStatus at login show the client's own values."""
    wire = lone.bare_wire()
    wire.login(application_name="reported", TimeZone="Asia/Tokyo")
    assert wire.parameters["application_name"] == "reported"
    assert wire.parameters["TimeZone"] == "Asia/Tokyo"
    assert wire.parameters["server_version"]


@pytest.mark.ours
@pytest.mark.parametrize("spelling", ["utf-8", "utf8", "UTF_8", "unicode"])
def test_login_reports_the_encodings_own_name(lone, database, spelling):
    """A client that asks for utf-8 hears of UTF8, as from PostgreSQL."""
    direct, pooled = Wire(database.port), lone.bare_wire()
    direct.login(database=database.name, client_encoding=spelling)
    pooled.login(client_encoding=spelling)
    assert pooled.parameters["client_encoding"] == direct.parameters["client_encoding"] == "UTF8"
    direct.close()


@pytest.mark.ours
def test_the_servers_spelling_reaches_the_client(lone):
    """What the server makes of a value is reported before the first answer, once."""
    wire = lone.bare_wire()
    wire.login(DateStyle="german")
    for expected in ([b"DateStyle\0German, DMY\0"], []):
        assert [m.body for m in wire.query("select 1") if m.kind == "S"] == expected


@pytest.mark.ours
def test_a_notification_of_ones_own_is_known_by_its_process(make_pooler):
    """The process of a notification is the one of BackendKeyData, so that an application can leave out its own."""
    session = make_pooler(pool_mode="session")
    wire, other = session.wire(), session.wire()
    wire.query("listen own")
    told = [m for m in wire.query("notify own") if m.kind == "A"]
    assert [m.body[:4] for m in told] == [wire.key[:4]]
    other.query("notify own")
    told = [m for m in wire.query("select 1") if m.kind == "A"]
    assert len(told) == 1 and told[0].body[:4] != wire.key[:4]


def test_application_name_in_pg_stat_activity(lone, database):
    """The server shows the name of the client it serves now."""
    for name in ("first", "second"):
        wire = lone.wire(application_name=name)
        wire.query("begin")
        assert database.backends(f"application_name = '{name}'") == 1
        wire.query("commit")


@pytest.mark.recent
def test_empty_application_name(lone):
    """Empty is a value."""
    named, empty = lone.wire(application_name="named"), lone.wire(application_name="")
    named.query("select 1")
    assert empty.value("show application_name") == ""


@pytest.mark.ours
@pytest.mark.parametrize("size", [126, 1000, 5000])
def test_long_value(make_pooler, size):
    """Values of any length are applied: TimeZone and the like are short, search_path is not."""
    pooler = make_pooler(default_pool_size=1, track_extra_parameters="search_path")
    value = ", ".join(f"schema_{i:04}" for i in range(size // 13 + 1))
    special, plain = pooler.wire(search_path=value), pooler.wire()
    plain.query("select 1")
    assert special.value("select length(current_setting('search_path'))") == str(len(value))


def test_value_with_quotes_is_only_a_value(lone):
    """Quotes and semicolons stay inside the value (A31)."""
    evil = "it's; select pg_sleep(9); -- \\"
    special, plain = lone.wire(application_name=evil), lone.wire()
    plain.query("select 1")
    assert special.value("show application_name") == evil


def test_unusable_value_hurts_only_its_client(lone):
    """A value the server refuses ends that client with a clear text; others are unhurt."""
    plain = lone.wire()
    plain.query("select 1")
    wire = lone.bare_wire()
    with pytest.raises((Refused, Closed)):
        wire.login(DateStyle="nonsense")
        wire.query("select 1")
    assert plain.value("select 1") == "1"
    lone.settle()


def test_unknown_startup_parameter(pooler):
    """An unknown parameter is refused by name (A28)."""
    with Wire(pooler.port) as wire, pytest.raises(Refused, match="unsupported startup parameter: foo"):
        wire.login(foo="bar")


def test_ignored_startup_parameter(make_pooler):
    """ignore_startup_parameters lets it pass without effect."""
    pooler = make_pooler(ignore_startup_parameters="extra_float_digits, foo")
    assert pooler.wire(foo="bar", extra_float_digits="3").value("select 1") == "1"


@pytest.mark.recent
def test_options_with_a_tracked_setting(lone):
    """options may set what is tracked, in all three spellings."""
    for options in ("-c TimeZone=Asia/Tokyo", "-cTimeZone=Asia/Tokyo", "--TimeZone=Asia/Tokyo"):
        wire = lone.wire(options=options)
        lone.wire().query("select 1")
        assert wire.value("show timezone") == "Asia/Tokyo"


@pytest.mark.recent
def test_options_with_a_foreign_setting(pooler):
    """options with anything else is refused by name (A32)."""
    with Wire(pooler.port) as wire, pytest.raises(Refused, match="unsupported startup parameter in options: work_mem"):
        wire.login(options="-c work_mem=1MB")
    with Wire(pooler.port) as wire, pytest.raises(Refused, match="unsupported options startup parameter"):
        wire.login(options="-d 5")


@pytest.mark.recent
def test_options_ignored(make_pooler):
    """With options ignored the foreign setting passes without effect, the tracked one counts."""
    pooler = make_pooler(ignore_startup_parameters="options")
    wire = pooler.wire(options="-c work_mem=1MB -c TimeZone=Asia/Tokyo")
    assert wire.value("show timezone") == "Asia/Tokyo"
    assert wire.value("show work_mem") != "1MB"


def test_duplicate_parameter_last_wins(pooler):
    """Of two users the last one logs in (A26)."""
    wire = pooler.bare_wire()
    wire.send(packet(PROTOCOL_3_0, b"user\0nobody-here\0database\0app\0user\0trusty\0\0"))
    wire.finish_login("trusty")
    assert wire.value("select current_user") == "trusty"


def test_reset_all_by_one_client(lone):
    """RESET ALL of one client does not change what another one set."""
    keeper, resetter = lone.wire(TimeZone="Asia/Tokyo"), lone.wire()
    keeper.query("select 1")
    resetter.query("reset all")
    assert keeper.value("show timezone") == "Asia/Tokyo"


def test_database_parameters_of_the_entry(make_pooler, backend):
    """timezone and friends of the entry are what servers start with."""
    pooler = make_pooler(databases={"app": backend + " timezone='Asia/Tokyo' client_encoding=UTF8"})
    assert pooler.wire().value("show timezone") == "Asia/Tokyo"


def test_connect_query(make_pooler, backend):
    """connect_query runs on each new server before its first use."""
    pooler = make_pooler(databases={"app": backend + " connect_query='set work_mem to 4321'"})
    assert pooler.wire().value("show work_mem") == "4321kB"


def test_other_settings_are_the_servers(make_pooler):
    """In session mode every setting is the client's own until it leaves."""
    pooler = make_pooler(pool_mode="session")
    wire = pooler.wire()
    assert not errors(wire.query("set work_mem = '5MB'"))
    assert wire.value("show work_mem") == "5MB"
