import Config
import Primitives
import Testing
import Wire

@testable import Console

/// SELECT over the tables of SHOW: meaning, types and errors as PostgreSQL has them.
@Suite struct SelectTests {
    /// The value of one expression.
    private func value(_ expression: String) -> String {
        let stage = Stage()
        let reply = stage.query(stage.login("watcher"), "SELECT " + expression)
        if let error = reply.error { return "\(error["C"] ?? "") \(error["M"] ?? "")" }
        return reply.rows[0][0] ?? "NULL"
    }

    @Test(arguments: [
        ("1", "1"), ("'it''s'", "it's"), ("E'a\\'b\\n'", "a'b\n"), ("-5", "-5"), ("- -5", "5"),
        ("2+3*4", "14"),
        ("(2+3)*4", "20"), ("7/2", "3"), ("-7/2", "-3"), ("7.0/2", "3.5000000000000000"), ("7%3", "1"),
        ("1.50", "1.50"), ("1.5+1", "2.5"), ("1.5*1.5", "2.25"), ("2/3.0", "0.6666666666666667"),
        ("'a'||'b'||1", "ab1"),
        ("1=1", "t"), ("1<>1", "f"), ("'a'<'b'", "t"), ("1='1'", "t"), ("'1'=1", "t"), ("1 IN (2,3)", "f"),
        ("1 IN (2,1)", "t"), ("1 NOT IN (2,3)", "t"), ("1 IN (2,NULL)", "NULL"), ("NULL IS NULL", "t"),
        ("1 IS NOT NULL", "t"), ("NULL=1", "NULL"), ("NOT true", "f"), ("NOT NULL::bool", "NULL"),
        ("true AND NULL", "NULL"), ("false AND NULL", "f"), ("true OR NULL", "t"), ("false OR NULL", "NULL"),
        ("2 BETWEEN 1 AND 3", "t"), ("2 NOT BETWEEN 1 AND 3", "f"), ("'2' BETWEEN 1 AND 3", "t"),
        ("'abc' LIKE 'a%'", "t"), ("'abc' LIKE '_b_'", "t"), ("'abc' LIKE '_b'", "f"),
        ("'äbc' LIKE '_bc'", "t"),
        ("'ABC' ILIKE 'a%c'", "t"), ("'a%c' LIKE 'a\\%c'", "t"), ("'abc' LIKE 'a\\%c'", "f"),
        ("'' LIKE '%'", "t"),
        ("'abc' NOT LIKE 'x%'", "t"), ("(1=1) IS TRUE", "t"), ("(NULL::bool) IS FALSE", "f"),
        ("'5'::int + 1", "6"),
        ("CAST('5' AS bigint)", "5"), ("1.5::int", "2"), ("5::text || 'x'", "5x"), ("'t'::bool", "t"),
        ("lower('AbC')", "abc"), ("upper('AbC')", "ABC"), ("length('äb')", "2"), ("abs(-3)", "3"),
        ("coalesce(NULL, 2)", "2"), ("coalesce(NULL, 'x')", "x"),
        ("set_config('TimeZone', 'UTC', false)", "UTC"),
        ("version()", "pglido 1.0"), ("pg_catalog.version()", "pglido 1.0"), ("current_user", "watcher"),
        ("current_database()", "pgbouncer"), ("current_schema()", "public"), ("pg_is_in_recovery()", "f"),
        ("1 -- comment", "1"), ("1 /* a /* b */ c */", "1"), ("'a' = 'a' AND NOT 1 = 2 OR 1 = 3", "t"),
        ("9223372036854775807", "9223372036854775807"), ("count(*)", "1"), ("sum(2)", "2"),
        ("avg(3)", "3.0000000000000000"),
    ])
    func expressions(_ expression: String, _ wanted: String) {
        #expect(value(expression) == wanted)
    }

    @Test(arguments: [
        ("SELECT", 7, "42601", "syntax error at end of input"),
        ("SELECT FROM pools", 8, "42601", "syntax error at or near \"FROM\""),
        ("SELECT database pools FROM", 27, "42601", "syntax error at end of input"),
        ("SELECT 1 +", 11, "42601", "syntax error at end of input"),
        ("SELECT (1", 10, "42601", "syntax error at end of input"),
        ("SELECT 1; SELECT 2", 11, "42601", "syntax error at or near \"SELECT\""),
        ("SELECT 'x", 8, "42601", "unterminated quoted string"),
        ("SELECT \"x", 8, "42601", "unterminated quoted identifier"),
        ("SELECT 1 /* x", 10, "42601", "unterminated /* comment"),
        ("SELECT 1x", 8, "42601", "trailing junk after numeric literal at or near \"1x\""),
        ("SELECT #", 8, "42601", "syntax error at or near \"#\""),
        ("SELECT 'ä', nonsense FROM pools", 13, "42703", "column \"nonsense\" does not exist"),
        ("SELECT x.database FROM pools p", 8, "42P01", "missing FROM-clause entry for table \"x\""),
        ("SELECT * FROM nowhere", 15, "42P01", "relation \"nowhere\" does not exist"),
        ("SELECT * FROM pg_catalog.pg_class", 15, "42P01", "relation \"pg_catalog.pg_class\" does not exist"),
        ("SELECT *", 8, "42601", "SELECT * with no tables specified is not valid"),
        ("SELECT $1", 8, "42P02", "there is no parameter $1"),
        ("SELECT 'x' = 1", 8, "22P02", "invalid input syntax for type integer: \"x\""),
        ("SELECT database = 1 FROM pools", 17, "42883", "operator does not exist: text = integer"),
        ("SELECT true + 1", 13, "42883", "operator does not exist: boolean + integer"),
        ("SELECT 1 WHERE 5", 16, "42804", "argument of WHERE must be type boolean, not type integer"),
        ("SELECT 1 AND true", 8, "42804", "argument of AND must be type boolean, not type integer"),
        (
            "SELECT nonsense(1)", 8, "42883",
            "function nonsense(...) does not exist with 1 arguments of these types"
        ),
        ("SELECT sum(database) FROM pools", 8, "42883", "function sum(text) does not exist"),
        ("SELECT 1 FROM pools WHERE count(*) > 1", 27, "42803", "aggregate functions are not allowed here"),
        ("SELECT sum(count(*)) FROM pools", 12, "42803", "aggregate functions are not allowed here"),
        (
            "SELECT database, count(*) FROM pools", 8, "42803",
            "column \"database\" must appear in the GROUP BY clause or be used in an aggregate function"
        ),
        ("SELECT 1 ORDER BY 2", 19, "42P10", "position 2 is not in select list"),
        ("SELECT 1::nosuch", 11, "42704", "type \"nosuch\" does not exist"),
        ("SELECT 1 FROM pools LIMIT cl_active", 27, "42P10", "argument of LIMIT must not contain variables"),
    ])
    func mistakes(_ text: String, _ position: Int, _ state: String, _ message: String) {
        let stage = Stage()
        let client = stage.login("watcher")
        let reply = stage.query(client, text)
        #expect(reply.kinds == "EZ")
        #expect(reply.error?["C"] == state && reply.errorText == message)
        #expect(reply.error?["P"] == String(position))
        #expect(stage.query(client, "SELECT 1").rows == [["1"]])
    }

    @Test(arguments: [
        ("SELECT 1/0", "22012 division by zero"), ("SELECT 2147483647 + 1", "22003 integer out of range"),
        ("SELECT 9223372036854775807 + 1", "22003 bigint out of range"),
        ("SELECT 99999999999999999999999999", "22003 value out of range"),
        ("SELECT 1 LIMIT -1", "2201W LIMIT must not be negative"),
        ("SELECT 1 OFFSET -1", "2201X OFFSET must not be negative"),
        ("SELECT 12345678901234567890.5 * 12345678901234567890.5", "22003 value out of range"),
    ])
    func mistakesWhileRunning(_ text: String, _ wanted: String) {
        #expect(value(String(text.dropFirst(7))) == wanted)
    }

    @Test func hugeTextsAreRefused() {
        let deep = String(repeating: "(", count: 60) + "1" + String(repeating: ")", count: 60)
        #expect(value(deep) == "54001 expression is nested too deeply")
        #expect(value("1" + String(repeating: "+1", count: 1000)) == "54001 SELECT is too complex")
        #expect(value("1" + String(repeating: "+1", count: 500)) == "501")
        #expect(value("'" + String(repeating: "x", count: 40_000) + "'").hasPrefix("54000"))
        #expect(value(String(repeating: "NOT ", count: 1000) + "true") == "t")
        let texts = (String(repeating: "a", count: 1000), String(repeating: "%a", count: 100))
        #expect(value("'\(texts.0)' LIKE '\(texts.1)%b'") == "f")
        #expect(value("'\(texts.0)a' LIKE '\(texts.1)\(texts.1)'") == "54000 text is too long for LIKE")
        #expect(value(String(repeating: "NOT ", count: 2000) + "true") == "54001 SELECT is too complex")
        #expect(
            value("-8507059173023461586584.3651857942052864 * 2 % -0.0000000000000001")
                == "0.0000000000000000")
        #expect(
            NumericValue(
                base10000: [UInt16](repeating: 0, count: 60_000), weight: 32_000, isNegative: false,
                shownDecimals: 0)?.isZero == true)
    }

    @Test func columnsHaveTheTypesOfShow() {
        let stage = Stage()
        let client = stage.login("watcher")
        let show = stage.query(client, "SHOW POOLS")
        let select = stage.query(client, "select * from pools;")
        #expect(select.columns == show.columns && select.rows == show.rows && select.tag == "SELECT 1")
        let typed = stage.query(
            client,
            "SELECT database AS \"Db\", p.cl_active + 1 x, sum(cl_active) OVERALL, avg(maxwait), count(*), true, 5000000000 "
                + "FROM pools AS p GROUP BY 1, p.cl_active")
        #expect(
            typed.columns == [
                "Db:25", "x:23", "overall:20", "avg:1700", "count:20", "?column?:16", "?column?:20",
            ])
        #expect(typed.rows == [["pgbouncer", "2", "1", "0.0000000000000000", "1", "t", "5000000000"]])
    }

    @Test(arguments: Expected.columns.map(\.words)) func everyTableCanBeAsked(words: String) throws {
        let stage = Stage()
        _ = stage.busy()
        let client = stage.login("admin")
        let table = words.split(separator: " ")[1].lowercased()
        let show = stage.query(client, words)
        if show.error != nil || table == "help" { return }
        let select = stage.query(client, "SELECT * FROM \(table)")
        #expect(select.columns == show.columns && select.rows.count == show.rows.count)
        #expect(stage.query(client, "SELECT count(*) FROM \(table)").rows == [[String(show.rows.count)]])
    }

    @Test func rowsAreChosenSortedAndCut() throws {
        // The columns of SHOW LISTS have these types: list text, items int4.
        func lists(_ rest: String) throws -> [String] {
            let select = try SelectParser.read(ByteString("SELECT list, items FROM lists " + rest))
            let rows: [[SQLValue]] = [
                [.text("b"), .number(NumericValue(Int64(3)))], [.text("a"), .number(NumericValue(Int64(3)))],
                [.text("c"), .number(NumericValue(Int64(-7)))], [.text("d"), .null],
            ]
            return try select.run(rows, SelectContext()).map { row in
                row.map { SQLValue($0).text?.lossyText ?? "NULL" }.joined(separator: "|")
            }
        }
        #expect(try lists("") == ["b|3", "a|3", "c|-7", "d|NULL"])
        #expect(try lists("WHERE items > 0") == ["b|3", "a|3"])
        #expect(try lists("WHERE NOT items > 0") == ["c|-7"])
        #expect(try lists("WHERE items IS NULL") == ["d|NULL"])
        #expect(try lists("WHERE list LIKE '_' AND list <> 'a'") == ["b|3", "c|-7", "d|NULL"])
        #expect(try lists("WHERE list IN ('a', 'd')") == ["a|3", "d|NULL"])
        #expect(try lists("ORDER BY list") == ["a|3", "b|3", "c|-7", "d|NULL"])
        #expect(try lists("ORDER BY items, list") == ["c|-7", "a|3", "b|3", "d|NULL"])
        #expect(try lists("ORDER BY items DESC, 1 DESC") == ["d|NULL", "b|3", "a|3", "c|-7"])
        #expect(try lists("ORDER BY items DESC NULLS LAST LIMIT 2") == ["b|3", "a|3"])
        #expect(try lists("ORDER BY -items NULLS FIRST") == ["d|NULL", "b|3", "a|3", "c|-7"])
        #expect(try lists("ORDER BY list LIMIT 1 OFFSET 1") == ["b|3"])
        #expect(try lists("OFFSET 3 LIMIT ALL") == ["d|NULL"])
        #expect(try lists("LIMIT 0") == [])
        #expect(try lists("OFFSET 9223372036854775807") == [])
    }

    @Test func groupsAreTakenTogether() throws {
        func lists(_ text: String, _ rows: [(String, Int64?)]) throws -> [String] {
            let values: [[SQLValue]] = rows.map { name, items in
                [.text(ByteString(name)), items.map { .number(NumericValue($0)) } ?? .null]
            }
            return try SelectParser.read(ByteString(text)).run(values, SelectContext()).map { row in
                row.map { SQLValue($0).text?.lossyText ?? "NULL" }.joined(separator: "|")
            }
        }
        let rows: [(String, Int64?)] = [("a", 1), ("b", 5), ("a", 2), ("a", nil), ("c", nil), ("b", 5)]
        let all =
            "SELECT list, count(*), count(items), sum(items), min(items), max(items), avg(items) FROM lists "
        #expect(
            try lists(all + "GROUP BY list ORDER BY 1", rows) == [
                "a|3|2|3|1|2|1.5000000000000000", "b|2|2|10|5|5|5.0000000000000000",
                "c|1|0|NULL|NULL|NULL|NULL",
            ])
        #expect(try lists("SELECT count(DISTINCT items) AS n FROM lists", rows) == ["3"])
        #expect(try lists("SELECT count(*), sum(items) FROM lists", []) == ["0|NULL"])
        #expect(try lists("SELECT list FROM lists GROUP BY list", []) == [])
        #expect(
            try lists(
                "SELECT list FROM lists GROUP BY list HAVING count(*) > 1 ORDER BY max(items) DESC", rows)
                == ["b", "a"])
        #expect(
            try lists("SELECT DISTINCT items FROM lists ORDER BY items", rows) == ["1", "2", "5", "NULL"])
        #expect(try lists("SELECT max(list) || '!' FROM lists", rows) == ["c!"])
    }

    @Test func parametersTakeTheTypeOfWhatTheyStandBeside() {
        let stage = Stage()
        let client = stage.login("watcher")
        let text = "SELECT name FROM databases WHERE port = $1 AND name LIKE $2 OR $3 LIMIT $4"
        stage.send(client, Bytes.parse("s", text) + Bytes.describe("S", "s") + Bytes.sync)
        let described = Reply(stage.replies(client))
        #expect(described.kinds == "1tTZ")
        #expect(described.messages[1].body == [0, 4, 0, 0, 0, 23, 0, 0, 0, 25, 0, 0, 0, 16, 0, 0, 0, 20])
        func bind(_ formats: [Int], _ values: [[UInt8]?]) -> Reply {
            var body = Bytes.string("") + Bytes.string("s") + Bytes.uint16(formats.count)
            for format in formats { body += Bytes.uint16(format) }
            body += Bytes.uint16(values.count)
            for value in values { body += value.map { Bytes.uint32($0.count) + $0 } ?? Bytes.uint32(-1) }
            body += Bytes.uint16(0)
            stage.send(client, Bytes.message("B", body) + Bytes.execute("") + Bytes.sync)
            return Reply(stage.replies(client))
        }
        let texts: [[UInt8]?] = ["5432", "a%", "f", "10"].map { Array($0.utf8) }
        #expect(bind([], texts).messages.first { $0.kind == "D" }?.values == [Array("app".utf8)])
        let binary: [[UInt8]?] = [[0, 0, 0x15, 0x38], Array("a%".utf8), [0], [0, 0, 0, 0, 0, 0, 0, 10]]
        #expect(bind([1], binary).messages.first { $0.kind == "D" }?.values == [Array("app".utf8)])
        #expect(bind([1, 0, 1, 1], binary).kinds == "2DCZ")
        #expect(bind([], [nil, nil, nil, nil]).kinds == "2CZ")
        #expect(bind([], [Array("x".utf8), nil, nil, nil]).error?["C"] == "22P02")
        #expect(bind([1], [[0], nil, nil, nil]).error?["C"] == "22P03")
        #expect(bind([], [nil]).error?["C"] == "08P01")
        #expect(bind([1, 1], texts).error?["C"] == "08P01")
    }

    @Test func declaredTypesAreKept() {
        let stage = Stage()
        let client = stage.login("watcher")
        func parse(_ text: String, _ types: [Int]) -> [UInt8] {
            Bytes.message(
                "P",
                Bytes.string("") + Bytes.string(text) + Bytes.uint16(types.count)
                    + types.flatMap { Bytes.uint32($0) })
        }
        stage.send(client, parse("SELECT 1 WHERE 5 > $1", [21]) + Bytes.describe("S", "") + Bytes.sync)
        #expect(Reply(stage.replies(client)).messages[1].body == [0, 1, 0, 0, 0, 21])
        let bound = Bytes.message(
            "B",
            [0, 0] + Bytes.uint16(1) + Bytes.uint16(1) + Bytes.uint16(1) + Bytes.uint32(2) + [0, 4]
                + Bytes.uint16(0))
        stage.send(client, bound + Bytes.execute("") + Bytes.sync)
        #expect(Reply(stage.replies(client)).kinds == "2DCZ")
        stage.send(client, parse("SELECT $1", [1184]) + Bytes.sync)
        #expect(Reply(stage.replies(client)).error?["C"] == "0A000")
        stage.send(client, parse("SELECT database FROM pools WHERE database = $1", [23]) + Bytes.sync)
        #expect(Reply(stage.replies(client)).error?["C"] == "42883")
    }

    @Test func portalsOfASelectAreReadInPieces() {
        let stage = Stage()
        let client = stage.login("watcher")
        stage.send(
            client,
            Bytes.parse("", "SELECT key FROM config ORDER BY key") + Bytes.bind("p", "")
                + Bytes.execute("p", 2))
        stage.send(client, Bytes.execute("p", 3) + Bytes.execute("p") + Bytes.sync)
        let reply = Reply(stage.replies(client))
        #expect(reply.kinds.hasPrefix("12DDsDDDsD") && reply.tag == "SELECT \(GlobalSettings.rows.count - 5)")
    }

    @Test func driversAreAnsweredPolitely() {
        let stage = Stage()
        let client = stage.login("watcher")
        func tag(_ text: String) -> String? { stage.query(client, text).tag }
        #expect(stage.query(client, "").kinds == "IZ")
        #expect(stage.query(client, " ; ").kinds == "IZ")
        #expect(stage.query(client, "-- ping").kinds == "IZ")
        #expect(stage.query(client, "/* x */").kinds == "IZ")
        #expect(stage.query(client, "BEGIN").messages.last?.body == [0x54])
        #expect(stage.query(client, "SHOW VERSION").messages.last?.body == [0x54])
        #expect(stage.query(client, "NONSENSE").messages.last?.body == [0x54])
        #expect(stage.query(client, "COMMIT;").messages.last?.body == [0x49])
        #expect(tag("START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY") == "BEGIN")
        #expect(tag("ROLLBACK") == "ROLLBACK")
        #expect(tag("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY") == "SET")
        #expect(tag("SET extra_float_digits = 3") == "SET")
        #expect(tag("SET application_name = 'PostgreSQL JDBC Driver'") == "SET")
        #expect(tag("DISCARD ALL") == "DISCARD ALL")
        #expect(tag("DEALLOCATE ALL") == "DEALLOCATE ALL")
        #expect(stage.query(client, "SHOW transaction_read_only").rows == [["off"]])
        #expect(stage.query(client, "SELECT transaction_read_only").rows == [["off"]])
        #expect(stage.query(client, "SELECT 1 AS one").columns == ["one:23"])
        stage.send(client, Bytes.parse("_pg3_0", "SELECT 1") + Bytes.sync)
        _ = stage.replies(client)
        #expect(tag("DEALLOCATE \"_pg3_0\"") == "DEALLOCATE")
        stage.send(client, Bytes.bind("", "_pg3_0") + Bytes.sync)
        #expect(Reply(stage.replies(client)).error?["C"] == "26000")
        #expect(stage.query(client, "BEGIN; DROP TABLE x").error != nil)
    }

    @Test(
        arguments: [
            ("0", [], 0), ("1", [1], 0), ("12345678", [1234, 5678], 1), ("10000", [1], 1),
            ("0.5", [5000], -1),
            ("-1.25", [1, 2500], 0), ("0.0001", [1], -1), ("0.00000001", [1], -2),
            ("18446744073709551615", [1844, 6744, 737, 955, 1615], 4),
        ] as [(String, [UInt16], Int)])
    func numericsHavePostgreSQLsBinaryForm(text: String, digits: [UInt16], weight: Int) throws {
        let value = try #require(NumericValue(ByteString(text)))
        #expect(value.base10000.digits == digits && (digits.isEmpty || value.base10000.weight == weight))
        #expect(value.text.lossyText == text)
        let read = NumericValue(
            base10000: digits, weight: weight, isNegative: value.isNegative,
            shownDecimals: value.shownDecimals)
        #expect(read == value && read?.text == value.text)
    }

    /// Whatever the words and in whatever order: an answer or an error, never a trap, and the console goes on.
    @Test func anySoupOfWordsIsAnswered() {
        let words = [
            "SELECT", "*", "FROM", "pools", "config", "clients", "WHERE", "GROUP", "BY", "ORDER", "HAVING",
            "LIMIT",
            "OFFSET", "AND", "OR", "NOT", "IN", "IS", "NULL", "LIKE", "BETWEEN", "AS", "DISTINCT", "ASC",
            "DESC",
            "NULLS", "FIRST", "(", ")", ",", ".", ";", "+", "-", "*", "/", "%", "=", "<>", "<", ">=", "||",
            "::",
            "int", "text", "numeric", "bool", "count", "sum", "avg", "max", "coalesce", "lower", "database",
            "user",
            "cl_active", "maxwait", "key", "value", "1", "0", "2.5", "-1", "9223372036854775807", "'a%'",
            "'5'",
            "99999999999999999999999", "0.0000000000000001", "true", "$1", "\"x\"", "CAST", "E'\\x'", "/*",
            "--", "'",
        ]
        var random = Random(seed: 20_261_120)
        let stage = Stage()
        let client = stage.login("watcher")
        var answered = 0
        for _ in 0..<30_000 {
            var text = "SELECT " + words[random.below(words.count)]
            for _ in 0..<random.below(14) { text += " " + words[random.below(words.count)] }
            if random.below(2) == 0 { text += " FROM pools" }
            let reply = stage.query(client, text)
            #expect(reply.kinds.hasSuffix("Z") && reply.error?["C"] != "XX000", "\(text)")
            if reply.error == nil { answered += 1 }
        }
        #expect(answered > 300)
    }
}
