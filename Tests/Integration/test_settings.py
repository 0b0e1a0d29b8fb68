"""Every setting: what SHOW CONFIG says, what SET does, and what a RELOAD brings back."""

import pytest

from pooler import ConsoleError, ask

# What a running pooler must not be talked out of in a test.
KEPT = {"conffile", "logfile", "auth_type", "auth_file", "admin_users", "stats_users", "auth_dbname"}
VALUES = {"0": "1", "1": "0"}
WORDS = {
    "pool_mode": "session", "client_tls_sslmode": "disable", "server_tls_sslmode": "disable",
    "client_tls_dheparams": "none", "syslog_facility": "local1", "client_tls_protocols": "all",
    "server_tls_protocols": "all", "client_tls_ciphers": "default", "server_tls_ciphers": "default",
    "client_tls_ecdhcurve": "auto", "log_format": "json", "proxy_protocol_trusted": "10.0.0.0/8",
    "auth_ldap_options": "ldapserver=127.0.0.1 ldapprefix=cn=",
}


def config(console):
    """Values by name."""
    return {r["key"]: r["value"] for r in ask(console, "SHOW CONFIG")}


@pytest.mark.recent
def test_every_setting_is_set_and_comes_back(pooler):
    """SET is seen at once by SHOW CONFIG, other connections too; RELOAD takes the file's values again."""
    console = pooler.console()
    before = config(console)
    rows = ask(console, "SHOW CONFIG")
    assert len(rows) >= 100
    for row in rows:
        key, value = row["key"], row["value"]
        if key in KEPT or "_tls" in key and key not in WORDS:
            continue
        new = WORDS.get(key) or VALUES.get(value) or ("17" if (value or "").replace(".", "").isdigit() else "words")
        if row["changeable"] == "yes":
            answer = ask(console, f"SET {key} = '{new}'")
            assert answer == [] and config(console)[key] == new, key
        else:
            with pytest.raises(ConsoleError):
                ask(console, f"SET {key} = '{new}'")
            assert config(console)[key] == value
    ask(console, "SET query_wait_timeout = '2min'")
    assert config(pooler.console())["query_wait_timeout"] == "120"
    ask(console, "RELOAD")
    assert config(console) == before


@pytest.mark.ours
@pytest.mark.parametrize(
    "line, said",
    [
        ("query_timeout = 5 parsecs", "expected a time"), ("default_pool_size = many", "expected an integer"),
        ("log_stats = perhaps", "expected 0 or 1"), ("pkt_buf = 1TB", "expected a size"),
        ("tcp_keepidle = 1us", "expected whole seconds"), ("pool_mode = sometimes", "expected one of"),
    ],
)
def test_nonsense_changes_nothing(pooler, line, said):
    """A reload with a bad value is refused, with file, line and what belongs there."""
    before = config(pooler.console())
    pooler.write(pooler.ini, pooler.ini.read_text() + line + "\n")
    number = len(pooler.ini.read_text().splitlines())
    with pytest.raises(ConsoleError) as caught:
        pooler.admin("RELOAD")
    assert caught.value.fields["C"] == "F0000"
    told = [text for text in pooler.log.splitlines() if f"({pooler.ini}:{number})" in text]
    assert len(told) == 1 and said in told[0]
    assert config(pooler.console()) == before


@pytest.mark.ours
def test_units_and_words(make_pooler):
    """Times, sizes and truth values as people write them."""
    pooler = make_pooler(
        query_timeout="5min", server_idle_timeout="500ms", server_lifetime="2h", autodb_idle_timeout="1d",
        max_packet_size="1GB", pkt_buf="8kB", log_stats="yes", log_pooler_errors="FALSE", tcp_keepidle="2min",
        tcp_user_timeout="30s", stats_period="1min", query_wait_notify="10s")
    shown = config(pooler.console())
    wanted = {
        "query_timeout": "300", "server_idle_timeout": "0.5", "server_lifetime": "7200", "autodb_idle_timeout": "86400",
        "max_packet_size": "1073741824", "pkt_buf": "8192", "log_stats": "1", "log_pooler_errors": "0",
        "tcp_keepidle": "120", "tcp_user_timeout": "30000", "stats_period": "60", "query_wait_notify": "10",
    }
    assert {key: shown[key] for key in wanted} == wanted


@pytest.mark.ours
def test_another_file_from_now_on(pooler):
    """SET conffile: the next reload, also by signal, reads that one."""
    other = pooler.folder / "other.ini"
    pooler.write(other, pooler.ini.read_text() + "query_timeout = 71\n")
    console = pooler.console()
    ask(console, f"SET conffile = '{other}'")
    ask(console, "RELOAD")
    shown = config(console)
    assert (shown["query_timeout"], shown["conffile"]) == ("71", str(other))


@pytest.mark.recent
def test_verbose_at_run_time(pooler):
    """More lines as soon as it is set, fewer as soon as it is not."""
    first, second = pooler.wire(application_name="first"), pooler.wire(application_name="second")
    pooler.admin("SET verbose = 2")
    for wire in (first, second, first):
        wire.query("select 1")
    assert " DEBUG " in pooler.log
    pooler.admin("SET verbose = 0")
    seen = len(pooler.log)
    for wire in (first, second, first):
        wire.query("select 1")
    assert not any(f" {level} " in pooler.log[seen:] for level in ("DEBUG", "NOISE"))
