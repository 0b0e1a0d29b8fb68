"""State of a session, for session mode and direct connections only: seen until the end, and by nobody afterwards."""

from wire import query

LOOK = (
    "select coalesce(current_setting('pgcheck.session', true), ''), current_setting('work_mem'), "
    "(select count(*) from pg_class where relname = 'pgcheck_temp' and pg_table_is_visible(oid)), "
    "(select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()), "
    "(select count(*) from pg_listening_channels())"
)


async def state(c):
    """Look; the first time there must be nothing, from then on what this session has set."""
    token, mark = c.token(), getattr(c.link, "mark", None)
    row = c.clean(await c.ask(token, query(f"{LOOK}, '{token}'"))).rows[0]
    c.must(row[-1] == token, "the token", row)
    if mark:
        c.must(row[:-1] == [mark, "777kB", "1", "1", "1"], f"what this session has set, not {row}", kind="leaks")
        return
    c.must(row[0] == "" and row[1] != "777kB" and row[2:-1] == ["0"] * 3, f"a clean session, not {row}", kind="leaks")
    mark = f"mark of {c.number}, {token.split('.')[1]}"
    c.clean(await c.ask(token, query(
        f"set pgcheck.session = '{mark}'; set work_mem = '777kB'; create temp table pgcheck_temp (x int); "
        f"listen pgcheck_channel; select pg_advisory_lock_shared(4711)"
    )))
    c.link.mark = mark
