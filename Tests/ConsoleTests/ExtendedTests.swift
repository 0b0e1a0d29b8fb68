import Config
import Engine
import Primitives
import Testing

@testable import Console

@Suite struct ExtendedTests {
    /// As asyncpg does it: ask for the columns first, then for binary values.
    @Test func describeBeforeExecution() {
        let stage = Stage()
        let client = stage.login("watcher")
        stage.send(client, Bytes.parse("s1", "SHOW POOLS") + Bytes.describe("S", "s1") + Bytes.message("H"))
        let described = Reply(stage.replies(client))
        #expect(described.kinds == "1tT")
        #expect(described.messages[1].body == [0, 0])
        #expect(described.columns == Expected.columns.first { $0.words == "SHOW POOLS" }?.columns)
        stage.send(client, Bytes.sync)
        #expect(Reply(stage.replies(client)).kinds == "Z")
        for _ in 0..<2 {
            stage.send(client, Bytes.bind("", "s1", formats: [1]) + Bytes.execute("") + Bytes.sync)
            let reply = Reply(stage.replies(client))
            #expect(reply.kinds == "2DCZ")
            let values = reply.messages[1].values
            #expect(values[0] == Array("pgbouncer".utf8))
            #expect(values[2] == [0, 0, 0, 1])
            #expect(values[16] == nil)
        }
    }

    @Test func everyTableCanBePreparedAndBound() {
        let stage = Stage()
        _ = stage.busy()
        let client = stage.login("admin")
        for (words, columns) in Expected.columns {
            for format in [0, 1] {
                let formats = columns.map { _ in format }
                stage.send(
                    client,
                    Bytes.parse("", words) + Bytes.bind("", "", formats: formats) + Bytes.describe("P", "")
                        + Bytes.execute("") + Bytes.sync)
                let reply = Reply(stage.replies(client))
                #expect(reply.kinds.hasPrefix("12T"))
                #expect(reply.kinds.hasSuffix("CZ"))
                #expect(reply.columns == columns)
                #expect(reply.messages[2].body.suffix(2) == [0, UInt8(format)])
                for row in reply.messages where row.kind == "D" {
                    for (value, column) in zip(row.values, columns) where format == 1 {
                        guard let value else { continue }
                        if column.hasSuffix(":23") { #expect(value.count == 4) }
                        if column.hasSuffix(":20") { #expect(value.count == 8) }
                        if column.hasSuffix(":1700") { #expect(value.count >= 8) }
                    }
                }
            }
        }
    }

    @Test func numbersInBinary() {
        func bytes(_ cell: Cell) -> [UInt8]? {
            var buffer = ByteBuffer()
            buffer.dataRow([cell], ResultFormats(isBinary: [true]))
            return Message.split(Array(buffer.view.rawBuffer))[0].values[0]
        }
        #expect(bytes(.int4(-2)) == [255, 255, 255, 254])
        #expect(bytes(.int8(258)) == [0, 0, 0, 0, 0, 0, 1, 2])
        #expect(bytes(.numeric(0)) == [0, 0, 0, 0, 0, 0, 0, 0])
        #expect(bytes(.numeric(1)) == [0, 1, 0, 0, 0, 0, 0, 0, 0, 1])
        #expect(bytes(.numeric(10_000)) == [0, 1, 0, 1, 0, 0, 0, 0, 0, 1])
        #expect(bytes(.numeric(12_345_678)) == [0, 2, 0, 1, 0, 0, 0, 0, 0x04, 0xD2, 0x16, 0x2E])
        #expect(bytes(.numeric(100_020_000)) == [0, 2, 0, 2, 0, 0, 0, 0, 0, 1, 0, 2])
        // 18446744073709551615: 1844 6744 0737 0955 1615
        #expect(
            bytes(.numeric(.max)) == [
                0, 5, 0, 4, 0, 0, 0, 0, 0x07, 0x34, 0x1A, 0x58, 0x02, 0xE1, 0x03, 0xBB, 0x06, 0x4F,
            ])
        #expect(bytes(.null) == nil)
        #expect(Column<Int>.int4("a", "") { $0 }.value(.max) == .int4(.max))
    }

    @Test func rowLimits() {
        let stage = Stage()
        let client = stage.login("admin")
        stage.send(
            client,
            Bytes.parse("", "SHOW STATE") + Bytes.bind("p", "") + Bytes.execute("p", 2)
                + Bytes.execute("p", 1)
                + Bytes.execute("p", 1) + Bytes.execute("p") + Bytes.message("H"))
        #expect(Reply(stage.replies(client)).kinds == "12DDsDsCC")
        stage.send(client, Bytes.sync + Bytes.execute("p") + Bytes.sync)
        let gone = Reply(stage.replies(client))
        #expect(gone.kinds == "ZEZ")
        #expect(gone.error?["C"] == "34000")
        stage.send(
            client, Bytes.bind("", "") + Bytes.execute("", 5) + Bytes.execute("", -1) + Bytes.sync)
        #expect(Reply(stage.replies(client)).kinds == "2DDDCCZ")
    }

    @Test func commandsWithoutRows() {
        let stage = Stage()
        let client = stage.login("admin")
        stage.send(
            client,
            Bytes.parse("a", "SET default_pool_size = 4") + Bytes.describe("S", "a") + Bytes.bind("", "a")
                + Bytes.describe("P", "") + Bytes.execute("") + Bytes.execute("") + Bytes.execute("")
                + Bytes.sync)
        let reply = Reply(stage.replies(client))
        #expect(reply.kinds == "1tn2nCEZ")
        #expect(reply.tag == "SET default_pool_size=4")
        #expect(reply.error?["C"] == "55000")
        stage.send(
            client, Bytes.parse("", "SHOW HELP") + Bytes.bind("", "") + Bytes.execute("") + Bytes.sync)
        #expect(Reply(stage.replies(client)).kinds == "12NCZ")
        stage.send(
            client,
            Bytes.parse("", "show TIMEZONE") + Bytes.bind("", "") + Bytes.describe("P", "")
                + Bytes.execute("")
                + Bytes.sync)
        let zone = Reply(stage.replies(client))
        #expect(zone.columns == ["timezone:25"])
        #expect(zone.rows == [["GMT"]])
    }

    @Test func pauseWaitsInTheMiddleOfABatch() {
        let stage = Stage({ $0.poolMode = .transaction })
        let pair = stage.busy()
        let client = stage.login("admin")
        stage.send(
            client,
            Bytes.parse("", "PAUSE") + Bytes.bind("", "") + Bytes.execute("") + Bytes.sync
                + Bytes.query("RESUME"))
        #expect(Reply(stage.replies(client)).kinds == "12")
        stage.commit(pair)
        #expect(Reply(stage.replies(client)).kinds == "CZCZ")
    }

    @Test func errorsSkipToSync() {
        let stage = Stage()
        let client = stage.login("admin")
        stage.send(
            client,
            Bytes.parse("", "NONSENSE") + Bytes.bind("", "") + Bytes.execute("") + Bytes.query("SHUTDOWN")
                + Bytes.message("H"))
        let reply = Reply(stage.replies(client))
        #expect(reply.kinds == "E")
        #expect(reply.errorText == "invalid command 'NONSENSE', use SHOW HELP;")
        stage.send(client, Bytes.sync)
        #expect(Reply(stage.replies(client)).kinds == "Z")
        #expect(!stage.isExiting)
        #expect(stage.query(client, "SHOW VERSION").tag == "SHOW")
    }

    @Test func namesThatAreNotThere() {
        let stage = Stage()
        let client = stage.login("admin")
        for (bytes, state) in [
            (Bytes.bind("", "x"), "26000"), (Bytes.bind("", ""), "26000"),
            (Bytes.describe("S", "x"), "26000"),
            (Bytes.describe("P", "x"), "34000"), (Bytes.execute("x"), "34000"),
            (Bytes.describe("Q", "x"), "08P01"),
        ] {
            stage.send(client, bytes + Bytes.sync)
            let reply = Reply(stage.replies(client))
            #expect(reply.kinds == "EZ")
            #expect(reply.error?["C"] == state)
        }
        stage.send(
            client,
            Bytes.message("C", [0x53, 0]) + Bytes.message("C", [0x50] + Bytes.string("x")) + Bytes.sync)
        #expect(Reply(stage.replies(client)).kinds == "33Z")
    }

    @Test func statementsStayAndPortalsGo() {
        let stage = Stage()
        let client = stage.login("admin")
        stage.send(client, Bytes.parse("s", "SHOW VERSION") + Bytes.parse("", "SHOW STATE") + Bytes.sync)
        stage.send(client, Bytes.parse("s", "SHOW STATE") + Bytes.sync)
        let twice = Reply(stage.replies(client))
        #expect(twice.kinds == "11ZEZ")
        #expect(twice.error?["C"] == "42P05")
        _ = stage.query(client, "SHOW STATE")
        stage.send(
            client, Bytes.bind("", "") + Bytes.sync + Bytes.bind("", "s") + Bytes.execute("") + Bytes.sync)
        #expect(Reply(stage.replies(client)).kinds == "EZ2DCZ")
        stage.send(client, Bytes.bind("p", "s") + Bytes.bind("p", "s") + Bytes.sync)
        #expect(Reply(stage.replies(client)).error?["C"] == "42P03")
        stage.send(client, Bytes.message("C", [0x53] + Bytes.string("s")) + Bytes.bind("", "s") + Bytes.sync)
        #expect(Reply(stage.replies(client)).kinds == "3EZ")
    }

    @Test func formatsMustFit() {
        let stage = Stage()
        let client = stage.login("admin")
        let parse = Bytes.parse("", "SHOW STATE")
        for (formats, kinds) in [
            ([], "12Z"), ([1], "12Z"), ([0, 1], "12Z"), ([0, 1, 0], "1EZ"), ([2], "1EZ"),
        ] {
            stage.send(client, parse + Bytes.bind("", "", formats: formats) + Bytes.sync)
            #expect(Reply(stage.replies(client)).kinds == kinds)
        }
        let parameter = Bytes.uint16(0) + Bytes.uint16(1) + Bytes.uint32(1) + [0x31] + Bytes.uint16(0)
        stage.send(client, parse + Bytes.message("B", [0, 0] + parameter) + Bytes.sync)
        #expect(Reply(stage.replies(client)).kinds == "1EZ")
    }

    @Test func limitsOfNames() {
        let stage = Stage()
        let client = stage.login("watcher")
        for index in 0..<Limits.statements { stage.send(client, Bytes.parse("s\(index)", "SHOW STATE")) }
        stage.send(client, Bytes.sync)
        _ = stage.replies(client)
        stage.send(client, Bytes.parse("more", "SHOW STATE") + Bytes.sync)
        #expect(Reply(stage.replies(client)).error?["C"] == "53000")
        for index in 0...Limits.portals { stage.send(client, Bytes.bind("p\(index)", "s1")) }
        stage.send(client, Bytes.sync)
        #expect(Reply(stage.replies(client)).error?["C"] == "53000")
        stage.send(client, Bytes.parse(String(repeating: "n", count: 1025), "SHOW STATE") + Bytes.sync)
        #expect(Reply(stage.replies(client)).kinds == "EZ")
    }

    // MARK: Garbage

    @Test func otherMessages() {
        let stage = Stage()
        let client = stage.login("admin")
        stage.send(client, Bytes.message("F", [1, 2, 3]))
        let call = Reply(stage.replies(client))
        #expect(call.kinds == "EZ")
        #expect(call.errorText == "unsupported packet type for admin console: 70")
        stage.send(client, Bytes.message("d", [1]) + Bytes.message("c") + Bytes.message("f", [0]))
        #expect(stage.replies(client).isEmpty)
        #expect(stage.query(client, "SHOW VERSION").tag == "SHOW")
        stage.send(client, Bytes.message("Q"))
        #expect(Reply(stage.replies(client)).kinds == "EZ")
        stage.send(client, Bytes.message("Q", Bytes.string("SHUTDOWN") + Bytes.string("")))
        #expect(Reply(stage.replies(client)).kinds == "EZ")
        stage.send(client, Bytes.message("Q", Array("SHUTDOWN".utf8)))
        #expect(Reply(stage.replies(client)).kinds == "EZ")
        #expect(!stage.isExiting)
        stage.send(client, Bytes.message("Q", Bytes.string(String(repeating: "x", count: 1 << 20))))
        #expect(stage.closed.contains(.client(client)))
    }

    @Test func truncatedMessagesAreErrors() {
        let stage = Stage()
        let client = stage.login("admin")
        for whole in [
            Bytes.parse("s", "SHOW STATE"), Bytes.bind("p", "s", formats: [1]), Bytes.describe("S", "s"),
            Bytes.execute("p", 1), Bytes.message("C", [0x53] + Bytes.string("s")),
        ] {
            let kind = Character(UnicodeScalar(whole[0]))
            let body = Array(whole[5...])
            for length in 0..<body.count {
                stage.send(client, Bytes.message(kind, Array(body[..<length])) + Bytes.sync)
                #expect(Reply(stage.replies(client)).kinds == "EZ")
            }
            stage.send(client, Bytes.message(kind, body + [7]) + Bytes.sync)
            #expect(Reply(stage.replies(client)).kinds == "EZ")
        }
    }

    /// Whatever clients send: nothing traps, every Query and Sync of a client that stays is answered.
    @Test(arguments: 0..<8)
    func anyBytes(_ seed: UInt64) {
        var random = Random(seed: seed)
        func number(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }
        let words =
            CommandTable.shows.map { $0.words }
            + CommandTable.orders.map { $0.words }.filter { $0 != "SHUTDOWN" }
            + [
                "SET default_pool_size =", "RESUME", "PAUSE app", "KILL_CLIENT", "RESUME app", "SELECT", "\"",
                "'", ";",
            ]
        let stage = Stage()
        var clients = [stage.login("admin"), stage.login("watcher")]
        for _ in 0..<1500 {
            let place = number(clients.count)
            let client = clients[place]
            var text = words[number(words.count)]
            if number(3) == 0 { text += " " + words[number(words.count)] }
            if number(4) == 0 { text += " \(number(9))" }
            if number(5) == 0 { text = String(text.prefix(number(text.count + 1))) }
            let name = ["", "a", "b"][number(3)]
            var bytes: [UInt8]
            switch number(9) {
            case 0, 1: bytes = Bytes.query(text)
            case 2: bytes = Bytes.parse(name, text)
            case 3: bytes = Bytes.bind(name, ["", "a", "b"][number(3)], formats: number(2) == 0 ? [] : [1])
            case 4: bytes = Bytes.describe(number(2) == 0 ? "S" : "P", name)
            case 5: bytes = Bytes.execute(name, number(4))
            case 6: bytes = Bytes.sync
            case 7: bytes = Bytes.message("C", [0x53] + Bytes.string(name))
            default:
                let kinds: [Character] = ["Q", "P", "B", "D", "E", "C", "S", "H", "F", "d", "c", "f"]
                bytes = Bytes.message(
                    kinds[number(kinds.count)], (0..<number(40)).map { _ in UInt8(number(256)) })
            }
            if number(20) == 0, !bytes.isEmpty { bytes[number(bytes.count)] = UInt8(number(256)) }
            stage.send(client, bytes)
            if let reload = stage.reloads.last { stage.reloaded(number(2) == 0, reload) }
            if number(50) == 0 { stage.pass(.milliseconds(400)) }
            if stage.closed.contains(.client(client)) || number(100) == 0 {
                if !stage.closed.contains(.client(client)) { stage.leave(client) }
                clients[place] = stage.login(place == 0 ? "admin" : "watcher")
            }
        }
        let last = stage.login("watcher")
        #expect(stage.query(last, "SHOW CLIENTS").tag == "SHOW")
    }
}
