"""The numbered hostile inputs: one row a case, with the reaction expected; played by test_hostile_inputs.py.

A row is its number and name, where its bytes go, the bytes, and what must come back. `ELSEWHERE` names the tests
that play the cases which need more than bytes, and `LEFT_OUT` says why the rest cannot be played here.
"""

import struct
from typing import NamedTuple

import scram
from direct import fcall
from fakeserver import READY, error as server_error, result
from wire import (
    CANCEL_REQUEST, COPY_DONE, FLUSH, PROTOCOL_3_0, PROTOCOL_3_2, SSL_REQUEST, SYNC, bind,
    cancel_request, close, copy_data, copy_fail, describe, execute, message, packet, parse, query, raw, startup,
)

CANARY = "canary-7f3a19c5"  # the password of every user; must never be seen in a log


class Expect(NamedTuple):
    """What must come back.

    - fatal: an ErrorResponse FATAL with `code` that contains `text`, then the end;
    - closes: the end, whether or not a FATAL was said, but nothing else;
    - silent close: the end without a word;
    - waits: nothing, and the connection stays;
    - asked: an authentication request (R) comes; nothing more is known;
    - enters: the login works and a query is answered;
    - fails later: the login works or not; the first query fails or not even that is heard;
    - error: ERROR with `code`, ReadyForQuery, and the connection goes on;
    - direct: what PostgreSQL answers directly, byte for byte (save direct.permitted).
    """

    what: str
    text: str = ""
    code: str = "08P01"


class Case(NamedTuple):
    """A row. `bulk` cases go out whole only and may change the resident size by 5 %."""

    number: str
    name: str
    place: str  # first: on a new connection; sasl, password: when asked for one; inside, console: behind the login
    data: bytes
    expect: Expect
    ours: bool = False
    bulk: bool = False

    @property
    def id(self):
        """For people and -k."""
        return f"{self.number} {self.name}"


def fatal(text="", code="08P01"):
    """FATAL, then the end."""
    return Expect("fatal", text, code)


def error(code, text=""):
    """ERROR, ReadyForQuery, on."""
    return Expect("error", text, code)


CLOSES, SILENT, WAITS, ASKED = Expect("closes"), Expect("silent close"), Expect("waits"), Expect("asked")
ENTERS, DIRECT = Expect("enters"), Expect("direct")
BAD_HEADER, LAYOUT = fatal("bad packet header"), fatal("invalid startup packet layout")
UNKNOWN, UNREADABLE = fatal("unknown pkt"), fatal("failed to parse packet")

USER = b"user\0trusty\0database\0recorded\0"  # a server that records; see g6


def begin(body, code=PROTOCOL_3_0):
    """A startup packet with the body as given."""
    return packet(code, body)


def padded(size):
    """A valid startup packet of exactly `size` bytes."""
    return begin(USER + b"application_name\0" + b"x" * (size - len(USER) - 27) + b"\0\0")


FIRST = [
    ("A1", "nothing", b"", WAITS),
    ("A2", "one byte", b"\0", WAITS),
    ("A3", "length 0", struct.pack("!II", 0, PROTOCOL_3_0), BAD_HEADER),
    ("A4", "length 4", struct.pack("!II", 4, PROTOCOL_3_0), BAD_HEADER),
    ("A5", "version only", begin(b""), LAYOUT),
    ("A6", "no final terminator", begin(USER), LAYOUT),
    ("A7", "terminator early", begin(USER + b"\0junk"), LAYOUT),
    ("A8", "key without value", begin(USER + b"options\0"), LAYOUT),
    ("A9", "no user", begin(b"database\0recorded\0\0"), fatal("no username supplied")),
    ("A10", "empty user", begin(b"user\0\0database\0recorded\0\0"), fatal("no username supplied")),
    ("A11", "protocol 2.0", begin(USER + b"\0", 131072), fatal("old V2 protocol not supported")),
    ("A12", "protocol 4.0", begin(USER + b"\0", 4 << 16), BAD_HEADER),
    ("A13", "protocol 3.2", begin(USER + b"\0", PROTOCOL_3_2), ENTERS),
    ("A14", "protocol 3.9999", begin(USER + b"\0", 3 << 16 | 9999), ENTERS),
    ("A15", "code 1234.9999", packet(1234 << 16 | 9999), BAD_HEADER),
    ("A16", "startup of 10,001 bytes", padded(10_001), fatal(), True),
    ("A16", "startup of 10,000 bytes", padded(10_000), ENTERS),
    ("A17", "startup of 65,000 bytes", padded(65_000), fatal(), True),
    ("A18", "startup of 70,000 bytes", padded(70_000), fatal(), True),
    ("A19", "length 16 MiB", struct.pack("!II", 0x00FFFFFF, PROTOCOL_3_0), BAD_HEADER),
    ("A19", "length 2 GiB - 1", struct.pack("!II", 0x7FFFFFFF, PROTOCOL_3_0), CLOSES),
    ("A19", "length -1", struct.pack("!II", 0xFFFFFFFF, PROTOCOL_3_0), CLOSES),
    ("A20", "HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", CLOSES),
    ("A21", "ClientHello without TLS", bytes.fromhex("16030100c8010000c40303") + bytes(200), CLOSES),
    ("A22", "SSH", b"SSH-2.0-OpenSSH_9.2\r\n", CLOSES),
    ("A22", "SMTP", b"EHLO there\r\n", CLOSES),
    ("A22", "Redis", b"*1\r\n$4\r\nPING\r\n", CLOSES),
    ("A22", "MySQL", bytes.fromhex("4a0000000a382e30"), CLOSES),
    ("A22", "random", bytes(range(255, -1, -1)) * 256, CLOSES),
    ("A26", "user twice", begin(b"user\0nobody\0" + USER + b"\0"), ENTERS),
    ("A27", "database twice", begin(b"database\0nowhere\0" + USER + b"\0"), ENTERS),
    ("A28", "unknown parameter", begin(USER + b"foo\0bar\0\0"), fatal("unsupported startup parameter: foo")),
    ("A29", "unknown protocol option", begin(USER + b"_pq_.x\0y\0\0"), ENTERS),
    (
        "A31", "client_encoding with SQL",
        begin(b"user\0trusty\0database\0app\0client_encoding\0UTF8'; select 1; --\0\0"), Expect("fails later"),
    ),
    (
        "A32", "options, foreign",
        begin(USER + b"options\0-c work_mem=1\0\0"), fatal("unsupported startup parameter in options"),
    ),
    (
        "A32", "options, escape at the end",
        begin(USER + b"options\0-c x=\\\0\0"), fatal("unsupported startup parameter"),
    ),
    ("A32", "options, no value", begin(USER + b"options\0-c\0\0"), fatal()),
    ("A34", "user that is no UTF-8", begin(b"user\0\xff\0database\0recorded\0\0"), CLOSES),
    ("A37", "user of 200 bytes", startup("u" * 200, "recorded"), fatal("username too long")),
    ("A38", "database of 100 bytes", startup("trusty", "d" * 100), fatal("no such database")),
    ("A40", "user that forges the log", begin(b"user\0a\nLOG forged\x1b[31m\r\0database\0recorded\0\0"), CLOSES),
    (
        "A41", "application_name with control bytes",
        begin(USER + b"application_name\0" + b"\x1b\n\r" * 3000 + b"\0\0"), ENTERS,
    ),
    ("A42", "replication that is no word", begin(USER + b"replication\0maybe\0\0"), CLOSES),
    ("A43", "console by a stranger", startup("trusty", "pgbouncer"), fatal("not allowed")),
    ("B5", "SSLRequest of 9 bytes", struct.pack("!II", 9, SSL_REQUEST) + b"x", fatal(), True),
    ("C2", "password first", message("p", b"secret\0"), CLOSES),
    ("C3", "query first", query("select 1"), CLOSES),
    ("D1", "cancel, unknown key", cancel_request(b"unknown!"), SILENT),
    ("D2", "cancel, no key", cancel_request(b""), SILENT),
    ("D3", "cancel, 256-byte key", cancel_request(b"k" * 256), SILENT),
    ("D11", "cancel and bytes behind it", cancel_request(b"unknown!") + b"X garbage" * 100, SILENT),
    ("D11", "cancel and a startup behind it", cancel_request(b"unknown!") + startup("trusty", "recorded"), SILENT),
    ("D11", "cancel of no length", struct.pack("!II", 7, CANCEL_REQUEST), CLOSES),
]

AT_SASL = [
    ("A23", "startup twice", startup("visitor", "recorded"), fatal("client re-sent startup pkt")),
    ("A25", "the first word, perhaps in the startup's segment", scram.initial(scram.client_first()), ASKED),
    ("C1", "query", query("select 1"), fatal(), True),
    ("C4", "other mechanism", scram.initial(scram.client_first(), "SCRAM-SHA-1"), fatal("invalid SASL")),
    (
        "C5", "PLUS in clear",
        scram.initial(scram.client_first(header="p=tls-unique,,"), "SCRAM-SHA-256-PLUS"), fatal("SASL"),
    ),
    ("C6", "inner length -1", scram.initial(scram.client_first(), length=-1), fatal(), True),
    ("C7", "inner length 2 GiB", scram.initial(scram.client_first(), length=0x7FFFFFFF), fatal(), True),
    ("C8", "inner length that wraps", scram.initial(scram.client_first(), length=0xFFFFFFF0), fatal(), True),
    ("C9", "inner length too short", scram.initial(scram.client_first(), length=3), fatal(code="")),
    ("C10", "mechanism without NUL", message("p", b"SCRAM-SHA-256"), fatal(), True),
    ("C11", "empty nonce", scram.initial(scram.client_first(nonce="")), Expect("asked or fatal")),
    ("C12", "nonce that cannot be printed", scram.initial(scram.client_first(nonce="\x01\x02")), fatal(code="")),
    ("C13", "gs2 flag y", scram.initial(scram.client_first(header="y,,")), ASKED),
    ("C14", "gs2 p without PLUS", scram.initial(scram.client_first(header="p=tls-unique,,")), fatal(code="")),
    ("C15", "authzid", scram.initial(scram.client_first(header="n,a=bob,")), fatal(code="")),
    ("C16", "extension", scram.initial("n,,m=x,n=,r=abc"), fatal(code="")),
    ("C17", "another name inside", scram.initial(scram.client_first(user="admin")), ASKED),
    ("C18", "last word first", scram.response("c=biws,r=x,p=eA=="), fatal(code=""), True),
    ("C21", "length 3", raw(b"p", 3), BAD_HEADER),
    ("C21", "length 0", raw(b"p", 0), BAD_HEADER),
    ("C21", "length -1", raw(b"p", -1), BAD_HEADER),
    ("C22", "claims 100 MB", raw(b"p", 100_000_000), fatal(), True),
]
AT_SASL_BULK = [("C23", "claims 1 GiB, sends 32 MiB", raw(b"p", 1 << 30) + bytes(32 << 20), CLOSES)]

AT_PASSWORD = [
    ("C24", "empty password", message("p", b"\0"), fatal("empty password returned by client", "")),
    ("C25", "no NUL", message("p", b"no NUL"), fatal(code="")),
    ("C25", "NUL inside", message("p", b"in\0ner\0"), fatal(code="")),
    ("C25", "nothing at all", message("p"), fatal(code="")),
    ("C25", "65,536 bytes", message("p", b"x" * 65535 + b"\0"), fatal(code="")),
    ("C25", "wrong password", message("p", b"wrong\0"), fatal("password authentication failed")),
]

INSIDE = [
    ("C20", "password", message("p", b"x\0"), UNKNOWN),
    ("E1", "unknown type", message("!"), UNKNOWN),
    ("E2", "type zero", b"\0\0\0\0\4" + bytes(4), BAD_HEADER),
    ("E3", "a server's type", message("T", b"\0\0"), UNKNOWN),
    ("E4", "length 3", raw(b"Q", 3), BAD_HEADER),
    ("E5", "length 0", raw(b"Q", 0), BAD_HEADER),
    ("E6", "length -1", raw(b"Q", -1), BAD_HEADER),
    ("E7", "length 2 GiB - 1", raw(b"Q", 0x7FFFFFFF), BAD_HEADER),
    ("E8", "length 2 GiB", raw(b"Q", 0x80000000), BAD_HEADER),
    ("E10", "query without NUL", message("Q", b"select 1"), DIRECT),
    ("E11", "query with NUL inside", message("Q", b"select\x001\0"), DIRECT),
    ("E12", "query of no bytes", message("Q"), DIRECT),
    ("E13", "empty query", query(""), DIRECT),
    ("E14", "sync with payload", message("S", b"payload"), DIRECT),
    ("E15", "terminate with payload", message("X", b"payload"), SILENT),
    ("E16", "startup packet", startup("trusty", "app"), CLOSES),
    ("E16", "SSLRequest", packet(SSL_REQUEST), CLOSES),
    ("E16", "cancel request", cancel_request(b"12345678"), CLOSES),
    ("E17", "function call with a bad oid", fcall(1), DIRECT),
    ("E18", "function call", fcall(871, "x"), DIRECT),
    ("E21", "flush alone", FLUSH, DIRECT),
    ("E21", "sync alone", SYNC, DIRECT),
    ("E23", "two queries", query("select 'one'") + query("select 'two'"), DIRECT),
    ("X1", "Parse of no bytes", message("P") + SYNC, UNREADABLE),
    ("X1", "Parse without NUL", message("P", b"no nul") + SYNC, UNREADABLE),
    ("X1", "Bind of no bytes", message("B") + SYNC, UNREADABLE),
    ("X2", "Bind of an unknown statement", bind([], "never") + execute() + SYNC, DIRECT, True),
    ("X3", "Describe of an unknown statement", describe("S", "never") + SYNC, DIRECT, True),
    ("X4", "Close of an unknown statement", close("S", "never") + SYNC, DIRECT),
    ("X5", "Execute of an unknown portal", execute("never") + SYNC, DIRECT),
    ("X6", "name taken", parse("select 1", "s1") + parse("select 2", "s1") + SYNC, DIRECT),
    ("X7", "Describe of an unknown kind", describe("Z") + SYNC, DIRECT),
    (
        "X8", "parameter length -2",
        parse("select $1::text") + message("B", b"\0\0\0\0\0\1\xff\xff\xff\xfe\0\0") + SYNC, DIRECT,
    ),
    ("X9", "65,535 parameters", parse("select $1::text") + message("B", b"\0\0\0\0\xff\xff\0\0") + SYNC, DIRECT),
    (
        "X12", "error in batch three of ten",
        (parse("select 1") + bind() + execute() + SYNC) * 2 + parse("select 1/0") + bind() + execute() + SYNC
        + (parse("select 2") + bind() + execute() + SYNC) * 7, DIRECT,
    ),
    ("X13", "syntax error, Sync, Query", parse("selec") + SYNC + query("select 'on'"), DIRECT),
    ("X16", "row limit and Flush", parse("select generate_series(1, 3)") + bind() + execute("", 1) + FLUSH, DIRECT),
    ("X17", "failed Execute, Query, no Sync", parse("select 1/0") + bind() + execute() + query("select 1"), DIRECT),
    (
        "X18", "Close of a portal named like a statement",
        parse("select 1", "a") + bind([], "a", "a") + close("P", "a") + bind([], "a") + execute() + SYNC, DIRECT,
    ),
    (
        "X20", "failed name again",
        parse("selec", "a") + SYNC + parse("select 1", "a") + bind([], "a") + execute() + SYNC, DIRECT,
    ),
    ("X21", "DEALLOCATE ALL", parse("select 1", "a") + SYNC + query("deallocate all") + bind([], "a") + SYNC, DIRECT),
    ("X21", "DISCARD ALL", parse("select 1", "a") + SYNC + query("discard all") + bind([], "a") + SYNC, DIRECT),
    ("X21", "DEALLOCATE one", parse("select 1", "a") + SYNC + query("deallocate a") + bind([], "a") + SYNC, DIRECT),
    ("Y1", "copy words without a copy", copy_data(b"x") + COPY_DONE + copy_fail() + query("select 1"), DIRECT),
    ("Y3", "COPY with a Sync before its end", parse("copy hostile from stdin") + bind() + execute() + SYNC
     + copy_data(b"1\n") + COPY_DONE + SYNC, DIRECT),
    ("Y4", "CopyFail", query("copy hostile from stdin") + copy_data(b"1\n") + copy_fail("no"), DIRECT),
    (
        "Y7", "one more Sync behind COPY out",
        parse("copy (select 1) to stdout") + bind() + execute() + SYNC + SYNC, DIRECT,
    ),
    ("Y8", "Flush and Sync between rows", query("copy hostile from stdin") + copy_data(b"1\n") + FLUSH + SYNC
     + copy_data(b"2\n") + COPY_DONE, DIRECT),
    ("Y9", "Query during COPY", query("copy hostile from stdin") + query("select 1"), DIRECT),
    ("Y12", "rows of no bytes", query("copy hostile from stdin") + copy_data(b"") * 20 + COPY_DONE, DIRECT),
    (
        "Y12", "rows byte by byte",
        query("copy hostile from stdin") + copy_data(b"1") * 9 + copy_data(b"\n") + COPY_DONE, DIRECT,
    ),
]
INSIDE_BULK = [
    ("E22", "10,000 Syncs", SYNC * 10_000, DIRECT),
    ("E29", "2 MiB of Z", query(f"select md5('{'Z' * (2 << 20)}')"), DIRECT),
    (
        "E29", "2 MiB of ReadyForQuery",
        parse("select md5($1)") + bind([b"Z???\5I" * 350_000]) + execute() + SYNC, DIRECT,
    ),
    (
        "X10", "statement name of 70,000 bytes",
        parse("select 1", "n" * 70_000) + bind([], "n" * 70_000) + execute() + SYNC, DIRECT,
    ),
    ("Y2", "COPY fails on row one of many", query("copy hostile from stdin") + copy_data(b"bad\n")
     + copy_data(b"1\n" * 1000) * 2000 + COPY_DONE, DIRECT),
    (
        "Y12", "100,000 rows of one byte",
        query("copy hostile from stdin") + copy_data(b"\n") * 100_000 + COPY_DONE, DIRECT,
    ),
]

CONSOLE = [
    ("J8", "two commands", query("SHOW CONFIG; SHUTDOWN"), error("")),
    ("J8", "open quote", query("SHOW 'x"), error("")),
    ("J8", "comment", query("SHOW /* x"), error("")),
    ("J8", "NUL inside", message("Q", b"SHOW\0POOLS\0"), Expect("error or end")),
    ("J8", "binary", message("Q", bytes(range(1, 256)) + b"\0"), Expect("error or end")),
    ("J8", "no NUL", message("Q", b"SHOW POOLS"), Expect("error or end")),
    ("J9", "Parse", message("P", b"junk") + SYNC, Expect("error or end")),
    ("J9", "FunctionCall", fcall(871, "x"), Expect("error or end")),
    ("J9", "unknown type", message("!"), Expect("error or end")),
]
CONSOLE_BULK = [("J8", "a megabyte", query("x" * (1 << 20)), Expect("error or end"))]


def _rows(place, table, bulk=False):
    return [Case(number, name, place, data, expect, bool(ours), bulk) for number, name, data, expect, *ours in table]


CASES = [
    *_rows("first", FIRST),
    *_rows("sasl", AT_SASL), *_rows("sasl", AT_SASL_BULK, bulk=True),
    *_rows("password", AT_PASSWORD),
    *_rows("inside", INSIDE), *_rows("inside", INSIDE_BULK, bulk=True),
    *_rows("console", CONSOLE), *_rows("console", CONSOLE_BULK, bulk=True),
]

NOTICE = message("N", b"SNOTICE\0C00000\0Mpsst\0\0")
STATUS = message("S", b"TimeZone\0Mars\0")
NOTIFICATION = message("A", struct.pack("!I", 1) + b"channel\0payload\0")
A_ROW = result("for A")
GOOD = A_ROW + READY


class ServerCase(NamedTuple):
    """What a server says to A's query, and what A may hear: "answer", "error" or "end". B is always served."""

    number: str
    name: str
    data: bytes
    heard: str
    ours: bool = True

    @property
    def id(self):
        """For people and -k."""
        return f"{self.number} {self.name}"


SERVER_CASES = [
    ServerCase("H1", "extra ready", GOOD + READY, "answer"),
    ServerCase("H2", "extra result", GOOD + result("FOREIGN") + READY, "answer"),
    ServerCase("H3", "late error", GOOD + server_error("XX000", "late"), "answer"),
    ServerCase("H4", "late fatal", GOOD + server_error("57P01", "going down", "FATAL"), "answer"),
    ServerCase("H5", "notice", GOOD + NOTICE, "answer"),
    ServerCase("H6", "parameter status", GOOD + STATUS, "answer"),
    ServerCase("H7", "notification", GOOD + NOTIFICATION, "answer", False),
    ServerCase("H8", "four bytes more", GOOD + b"T\0\0\0", "answer"),
    ServerCase("H9", "unknown type", GOOD + message("!"), "answer"),
    ServerCase("H10", "authentication request", GOOD + message("R", b"\0\0\0\3"), "answer"),
    ServerCase("H11", "key data", GOOD + message("K", b"12345678"), "answer"),
    ServerCase("H12", "length 3", GOOD + raw(b"T", 3), "answer"),
    ServerCase("H13", "error without code", message("E", b"SERROR\0Mno code\0\0") + READY, "error", False),
    ServerCase("H14", "status X", A_ROW + message("Z", b"X"), "end"),
    ServerCase("H15", "long ready", A_ROW + raw(b"Z", 8, b"IIII"), "end"),
    ServerCase("H16", "bare ready", READY, "end"),
    ServerCase("H20", "copy in without copy", message("G", b"\0\0\0") + GOOD, "end"),
    ServerCase("H21", "copy both", message("W", b"\0\0\0") + GOOD, "end"),
]

# Rows with a known difference, each a finding; a row that begins to hold must leave this list.
KNOWN = {
    "D2 cancel, no key": "FATAL instead of a silent close",
}

# What PgBouncer learned after 1.18 (marked `recent`).
RECENT = "A6 A7 A8 A13 A14 A29 A41 X1".split()

# Cases that need more than bytes, and the tests that play them.
ELSEWHERE = {
    "test_bad_startup.py": {
        "test_slow_startup": "A24", "test_reset_before_a_word": "A45", "test_encryption_requests_are_declined": "B1 B3",
        "test_bytes_behind_an_encryption_request": "B2 B4", "test_each_encryption_request_once": "B6",
    },
    "test_hostile_inputs.py": {
        "test_guessed_keys": "D4", "test_fifty_clients_one_name": "X22", "test_urgent_byte": "E28",
        "test_very_many_names": "X11", "test_cancel_of_a_console_session": "D14", "test_vanish_in_a_pipeline": "E26",
    },
    "test_bad_login.py": {"test_bad_final_message": "C19", "test_replayed_final_message": "C32"},
    "test_login.py": {
        "test_names_are_bytes": "A33 A35 A36", "test_first_request_is_the_same_for_unknown_users": "A39",
        "test_unknown_user_looks_like_a_wrong_password": "A39", "test_scram_login_with_md5_secret_fails": "C33",
    },
    "test_limits.py": {"test_max_client_conn": "A44", "test_client_limits_of_database_and_user": "C26"},
    "test_timeouts.py": {
        "test_client_login_timeout": "A2 C28", "test_query_wait_timeout": "X25", "test_server_connect_timeout": "H31",
        "test_server_lifetime": "R12", "test_query_timeout": "R11",
    },
    "test_cancel.py": {
        "test_idle_owner": "D5", "test_waiting_client": "D6", "test_waiting_client_is_never_a_danger": "D8",
        "test_next_query_of_the_owner_is_not_hit": "D9", "test_a_hundred_at_once": "D10",
        "test_in_a_pipeline": "D16", "test_during_copy_in": "D16", "test_bystanders_in_a_storm": "D7",
    },
    "test_bad_frames.py": {
        "test_half_a_message_holds_no_server": "E9", "test_end_right_after_a_query": "E24",
        "test_vanish_without_sync": "E25 X15", "test_vanish_at_every_offset": "E26",
        "test_payload_that_looks_like_protocol": "E29", "test_answers_around_buffer_sizes": "E30",
        "test_a_query_of_thirty_megabytes": "E20", "test_message_above_max_packet_size": "E19",
    },
    "test_pooling.py": {"test_statement_mode_refuses_transactions": "X24", "test_ten_thousand_syncs": "E22"},
    "test_vanishing.py": {"test_client_vanishes_in_the_middle_of_an_answer": "E27", "test_slow_reader": "R5"},
    "test_prepared.py": {
        "test_flush_between_parse_and_bind": "X14", "test_eviction_inside_a_pipeline": "X19",
        "test_ddl_changes_the_result": "X23",
    },
    "test_copy.py": {
        "test_vanish_inside_copy_in": "Y5", "test_vanish_inside_copy_out": "Y6", "test_server_dies_inside_copy": "Y10",
        "test_lines_of_any_size": "Y12",
    },
    "test_parameters.py": {"test_unusable_value_hurts_only_its_client": "A31 H35"},
    "test_hostile_server.py": {
        "test_server_dies_while_it_answers": "H17 H18", "test_row_that_never_comes": "H19",
        "test_very_many_notices": "H22", "test_strange_logins": "H23 H24 H30 H33", "test_login_without_key": "H27",
        "test_server_starting_up_keeps_the_waiters": "H32",
    },
    "test_reload.py": {
        "test_broken_file_is_refused": "J1 J7", "test_broken_userlist_keeps_the_old_users": "J4",
        "test_vanished_file": "J3",
    },
    "test_console.py": {"test_stats_user_may_only_look": "J10", "test_extended_protocol_on_the_console": "J9"},
    "test_process.py": {
        "test_second_instance_is_refused": "J12", "test_second_signal_ends_at_once": "J13",
        "test_root_is_refused": "J16", "test_unwritable_log_is_told": "J5",
    },
}

# Cases that are not played, and why.
LEFT_OUT = {
    "A30 C27 C29 C30 J2": "need auth_query or an HBA file",
    "B7 B8 B9 B10 B11 B12 B13 B14 B15 B16 B17 B18 D12 H25 H26 H28 J14 J15":
        "need TLS, or a server that speaks SCRAM wrongly",
    "D17": "needs peering",
    "Y11": "needs replication",
    "C31 D13 D15 H29 H34 H36 H37": "need faults timed inside one exchange: the simulator's work",
    "D18 R1 R2 R3 R4 R6 R7 R8 R9 R10": "load and resources: the chaos runs' work",
    "J6 J11": "need a full disk, or names with quotes in the files: the tests of the daemon and the console",
}
