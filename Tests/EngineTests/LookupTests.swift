import Auth
import Config
import Crypto
import Primitives
import Session
import Testing

@testable import Engine

/// auth_query: one user's secret from a server, for logins that wait for it and for nobody else.
@Suite struct LookupTests {
    /// `db` has its users looked up by `asker` on `authdb`; nobody but `u`, `v`, `w` and `asker` is in
    /// auth_file.
    static func bench(_ delivery: Delivery = .whole, _ configure: (inout Setup) -> Void = { _ in }) -> Bench {
        Bench(delivery) {
            $0.global.authType = .plain
            $0.global.authUser = "asker"
            $0.global.authDbname = "authdb"
            $0.secrets["asker"] = "key"
            var entry = DatabaseEntry(name: "authdb")
            entry.hosts = ["10.0.0.2"]
            $0.moreDatabases = [entry]
            configure(&$0)
        }
    }

    /// What PostgreSQL answers when the query finds one row.
    static func found(_ name: String, _ secret: String) -> Bytes {
        parseComplete + bindComplete + dataRow([Bytes(name.utf8), Bytes(secret.utf8)]) + complete("SELECT 1")
            + ready
    }

    static let none = parseComplete + bindComplete + complete("SELECT 0") + ready

    static func dataRow(_ columns: [Bytes?]) -> Bytes {
        var body: Bytes = [0, UInt8(columns.count)]
        for column in columns {
            guard let column else {
                body += [255, 255, 255, 255]
                continue
            }
            body += withUnsafeBytes(of: UInt32(column.count).bigEndian) { Bytes($0) } + column
        }
        return message("D", body)
    }

    static let failedLogin = ["E(FATAL 08P01 password authentication failed)", "closed"]

    @Test(arguments: Delivery.allCases)
    func aUserIsLookedUpAndLetIn(_ delivery: Delivery) {
        let bench = Self.bench(delivery)
        bench.connect("A", user: "x")
        #expect(bench.endpoints["S1"]?.host == "10.0.0.2")
        #expect(bench.got("A") == [])
        bench.login("S1")
        let asked = bench.got("S1")
        #expect(asked.first == "startup(user·asker·database·authdb)")
        #expect(asked.dropFirst().map { $0.prefix(1) } == ["P", "B", "E", "S"])
        #expect(asked[1].contains("pg_catalog.pg_authid"))
        #expect(asked[2].hasSuffix("x)"))
        bench.say("S1", Self.found("x", "pass"))
        #expect(bench.got("A") == ["R(···\\x3)"])
        bench.say("A", password("pass"))
        bench.login("S2")
        #expect(bench.got("S2").first == "startup(user·x·database·db)")
        #expect(bench.got("A").last == "Z(I)")
        bench.finish()
    }

    @Test func theServersOfThePoolLogInWithTheSecret() {
        let bench = Self.bench()
        bench.connect("A", user: "x")
        bench.login("S1")
        bench.say("S1", Self.found("x", "pass"))
        bench.say("A", password("pass"))
        bench.reach("S2")
        bench.ignore("S2")
        bench.say("S2", message("R", "···\u{3}"))
        #expect(bench.got("S2") == ["p(pass)"])
        bench.finish()
    }

    @Test func manyLoginsOfOneUserShareALookup() {
        let bench = Self.bench()
        for name in ["A", "B", "C"] { bench.connect(name, user: "x") }
        #expect(bench.endpoints.count == 1)
        bench.login("S1")
        #expect(bench.got("S1").count == 5)
        bench.connect("D", user: "x")
        bench.say("S1", Self.found("x", "pass"))
        for name in ["A", "B", "C", "D"] { #expect(bench.got(name) == ["R(···\\x3)"]) }
        #expect(bench.got("S1") == [])
        // and who comes soon after is not made to wait either
        bench.connect("E", user: "x")
        #expect(bench.got("E") == ["R(···\\x3)"])
        bench.pass(Limits.lookupLifetime)
        bench.connect("F", user: "x")
        #expect(bench.got("F") == [])
        #expect(bench.got("S1").count == 4)
        bench.finish()
    }

    @Test func aLoginThatFailsEndsTheAnswer() {
        let bench = Self.bench()
        bench.connect("A", user: "x")
        bench.login("S1")
        bench.ignore("S1")
        bench.say("S1", Self.found("x", "old"))
        bench.say("A", password("new"))
        #expect(bench.got("A") == ["R(···\\x3)"] + Self.failedLogin)
        bench.connect("B", user: "x")
        #expect(bench.got("S1").count == 4)
        bench.say("S1", Self.found("x", "new"))
        bench.say("B", password("new"))
        bench.login("S2")
        #expect(bench.got("B").last == "Z(I)")
        bench.finish()
    }

    /// A login that fails by an answer that another one had been given is held against a new answer.
    @Test(arguments: Delivery.allCases, [AuthType.plain, .md5])
    func aRememberedSecretThatIsOldIsAskedForAgain(_ delivery: Delivery, _ type: AuthType) {
        let bench = Self.bench(delivery) { $0.global.authType = type }
        func answer(_ name: String, _ text: String) {
            guard type == .md5 else {
                bench.say(name, password(text))
                return
            }
            let salt = ByteString(Bytes((bench.sent[name] ?? []).suffix(4)))
            let inner =
                ByteString(text).withView { word in ByteString("x").withView { MD5.hex(word, $0) } } ?? []
            let outer = ByteString(inner).withView { inner in salt.withView { MD5.hex(inner, $0) } } ?? []
            bench.say(name, message("p", Bytes("md5".utf8) + outer + [0]))
        }
        bench.connect("A", user: "x")
        bench.login("S1")
        bench.ignore("S1")
        bench.say("S1", Self.found("x", "old"))
        answer("A", "old")
        bench.login("S2")
        bench.ignore("S2")
        // The password is changed, and right: one more round to the auth server, and it is in.
        bench.connect("B", user: "x")
        answer("B", "new")
        #expect(bench.got("S1").map { $0.prefix(1) } == ["P", "B", "E", "S"])
        bench.say("S1", Self.found("x", "new"))
        #expect(bench.got("B").last == "Z(I)")
        // A wrong one is asked about once, and fails.
        bench.connect("C", user: "x")
        answer("C", "wrong")
        #expect(bench.got("S1").count == 4)
        bench.say("S1", Self.found("x", "new"))
        #expect(bench.got("C").suffix(2) == Self.failedLogin[...])
        // The user may be gone meanwhile, or the server.
        for (name, said) in [("D", Self.none), ("E", Self.rows([Self.x, nil]))] {
            bench.connect("\(name)1", user: "x")
            bench.say("S1", Self.found("x", "new"))
            bench.ignore("S1")
            bench.connect(name, user: "x")
            answer(name, "wrong")
            #expect(bench.got("S1").count == 4)
            bench.say("S1", said)
            #expect(bench.got(name).suffix(2) == Self.failedLogin[...])
            bench.end("\(name)1")
        }
        bench.connect("F1", user: "x")
        bench.say("S1", Self.found("x", "new"))
        bench.connect("F", user: "x")
        answer("F", "wrong")
        bench.end("F")
        bench.finish()
    }

    /// With SCRAM the salt of the old secret has been told; the next attempt is held against the new one.
    @Test func scramCountsAtTheNextLogin() {
        let bench = Self.bench { $0.global.authType = .scramSHA256 }
        bench.connect("A", user: "x")
        bench.login("S1")
        bench.ignore("S1")
        bench.say("S1", Self.found("x", "old"))
        bench.connect("B", user: "x")
        bench.say("B", message("p", Bytes("SCRAM-SHA-256\0\0\0\0\u{E}n,,n=,r=abcdef".utf8)))
        let nonce = bench.got("B").last?.split(separator: "r=").last?.prefix { $0 != "," } ?? ""
        #expect(nonce.hasPrefix("abcdef"))
        bench.say(
            "B",
            message(
                "p", Bytes("c=biws,r=\(nonce),p=".utf8) + Bytes(repeating: 0x41, count: 43) + Bytes("=".utf8))
        )
        #expect(bench.got("B").last == "closed" && bench.got("S1") == [])
        bench.connect("C", user: "x")
        #expect(bench.got("S1").count == 4)
        bench.finish()
    }

    /// What auth_query says, and what becomes of a login with the password `pass`.
    struct Answer: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var bytes: Bytes
        var got: [String]
        /// The server is closed, too.
        var isBroken = false
        init(_ name: String, _ bytes: Bytes, _ got: [String], isBroken: Bool = false) {
            testDescription = name
            self.bytes = bytes
            self.got = got
            self.isBroken = isBroken
        }
    }

    static let mock = ["R(···\\x3)"] + failedLogin
    static let configuration = ["E(FATAL 08P01 bouncer config error)", "closed"]
    static func rows(_ columns: [Bytes?]...) -> Bytes {
        parseComplete + bindComplete + columns.reduce(Bytes()) { $0 + dataRow($1) } + complete("SELECT")
            + ready
    }
    static let x = Bytes("x".utf8)
    static let pass = Bytes("pass".utf8)

    static let answers: [Answer] = [
        Answer("no row", none, mock),
        Answer("no password", rows([x, nil]), mock),
        Answer("no name", rows([nil, pass]), mock),
        Answer("another name", rows([Bytes("X".utf8), pass]), mock),
        Answer("empty password", rows([x, []]), mock),
        Answer("one column", rows([x]), configuration),
        Answer("three columns", rows([x, pass, x]), configuration),
        Answer("no column", rows([]), configuration),
        Answer("zero byte in the secret", rows([x, [0x70, 0]]), configuration),
        Answer("endless secret", rows([x, Bytes(repeating: 0x61, count: 65_531)]), configuration),
        Answer("a wrong row, then a right one", rows([x], [x, pass]), configuration),
        Answer("an error", failure("42P01", "no such table") + ready, configuration),
        Answer(
            "an error behind a row",
            parseComplete + bindComplete + dataRow([x, pass]) + failure("22012", "division") + ready,
            configuration),
        Answer(
            "remarks on the way",
            notice("hello") + parseComplete + parameterStatus("TimeZone", "Asia/Tokyo") + bindComplete
                + dataRow([x, pass]) + notification("n") + complete("SELECT 1") + ready, ["R(···\\x3)"]),
        Answer("the last of two rows counts", rows([x, x], [x, pass]), ["R(···\\x3)"]),
        Answer(
            "a row that ends early", parseComplete + bindComplete + message("D", [0, 2, 0, 0, 0, 9, 1]),
            ["E(FATAL 08P01 server conn crashed?)", "closed"], isBroken: true),
        Answer(
            "an answer to nothing", complete("SELECT 1"), ["E(FATAL 08P01 server conn crashed?)", "closed"],
            isBroken: true),
        Answer(
            "a row of 1 GiB", parseComplete + bindComplete + [0x44, 0x40, 0, 0, 0],
            ["E(FATAL 08P01 server conn crashed?)", "closed"], isBroken: true),
        Answer(
            "in a transaction", none.dropLast(6) + readyInTransaction,
            ["E(FATAL 08P01 server conn crashed?)", "closed"], isBroken: true),
    ]

    @Test(arguments: answers)
    func everyAnswer(_ answer: Answer) {
        let bench = Self.bench()
        bench.connect("A", user: "x")
        bench.login("S1")
        bench.say("S1", answer.bytes)
        if answer.isBroken {
            // another server is asked, once
            bench.login("S2")
            bench.say("S2", answer.bytes)
        }
        if bench.isHere("A") { bench.say("A", password(answer.got.count == 1 ? "pass" : "pass ")) }
        let got = bench.got("A")
        #expect(Array(got.prefix(answer.got.count)) == answer.got)
        if !answer.isBroken {
            // the server is fit for the next lookup
            bench.ignore("S1")
            bench.connect("B", user: "y")
            #expect(bench.got("S1").count == 4)
        }
        bench.finish()
    }

    /// Nobody can tell a wrong name from a wrong password, whatever the method.
    @Test(arguments: [AuthType.plain, .md5, .scramSHA256])
    func unknownUsersFailAsOthersDo(_ type: AuthType) {
        var heard: [[String]] = []
        for answer in [Self.none, Self.found("x", "pass"), Self.rows([Self.x, nil])] {
            let bench = Self.bench { $0.global.authType = type }
            bench.connect("A", user: "x")
            bench.login("S1")
            bench.say("S1", answer)
            let request = bench.got("A").map { String($0.prefix(8)) }
            if type == .scramSHA256 {
                bench.say("A", message("p", "SCRAM-SHA-256·\0\0\0\u{11}n,,n=,r=abcdefghi".bytesOfScalars))
                let first = bench.got("A").map { String($0.prefix(14)) }
                heard.append(request + first)
            } else {
                bench.say("A", password("md5wrong"))
                heard.append(request + bench.got("A"))
            }
            bench.finish()
        }
        #expect(heard[0] == heard[1])
        #expect(heard[0] == heard[2])
    }

    @Test func trustAsksWhetherTheUserExists() {
        let bench = Self.bench { $0.global.authType = .trust }
        bench.connect("A", user: "x")
        bench.login("S1")
        bench.say("S1", Self.none)
        #expect(bench.got("A") == ["E(FATAL 08P01 no such user)", "closed"])
        bench.connect("B", user: "y")
        bench.say("S1", Self.found("y", "pass"))
        bench.login("S2")
        #expect(bench.got("B").last == "Z(I)")
        bench.finish()
    }

    // MARK: Slow and dead

    @Test func onlyThoseWhoNeedASlowServerWait() {
        let bench = Self.bench { $0.global.clientLoginTimeout = .seconds(30) }
        bench.connect("A", user: "x")
        bench.login("S1")
        bench.connect("B", user: "u")
        bench.say("B", password("secret"))
        bench.login("S2")
        #expect(bench.got("B").last == "Z(I)")
        // another user's lookup gets a server of its own
        bench.connect("C", user: "y")
        bench.login("S3")
        #expect(bench.got("S3").count == 5)
        bench.say("S3", Self.found("y", "pass"))
        #expect(bench.got("C") == ["R(···\\x3)"])
        bench.pass(.seconds(30))
        #expect(bench.got("A") == ["E(FATAL 08P01 client_login_timeout)", "closed"])
        #expect(!bench.isHere("S1"))
        bench.finish()
    }

    @Test func aDeadServerIsReplacedOnce() {
        let bench = Self.bench()
        bench.connect("A", user: "x")
        bench.login("S1")
        bench.end("S1")
        bench.login("S2")
        #expect(bench.got("S2").count == 5)
        bench.end("S2")
        #expect(bench.got("A") == ["E(FATAL 08P01 server conn crashed?)", "closed"])
        bench.finish()
    }

    @Test func loginsHearWhyTheAuthServerRefusesButNotAboutItsPassword() {
        for (state, text) in [("3D000", "no such thing"), ("28P01", "bouncer config error")] {
            let bench = Self.bench()
            bench.connect("A", user: "x")
            bench.reach("S1")
            bench.say("S1", failure(state, "no such thing", severity: "FATAL"))
            let got = bench.got("A")
            #expect(got.count == 2)
            #expect(got[0].contains(text))
            bench.finish()
        }
    }

    @Test func aLoginWaitsInLineNoLongerThanAQuery() {
        let bench = Self.bench { $0.global.queryWaitTimeout = .seconds(7) }
        bench.connect("A", user: "x")
        bench.pass(.seconds(7))
        #expect(bench.got("A") == ["E(FATAL 08P01 query_wait_timeout)", "closed"])
        bench.login("S1")
        #expect(bench.got("S1") == ["startup(user·asker·database·authdb)"])
        bench.finish()
    }

    // MARK: Whose connection it is

    @Test func aServerThatAClientHasHadIsNotAsked() {
        let bench = Self.bench { $0.moreDatabases[0].poolSize = 1 }
        bench.connect("A", user: "asker", database: "authdb")
        bench.say("A", password("key"))
        bench.login("S1")
        bench.say("A", query("set search_path to evil"))
        bench.say("S1", complete("SET") + ready)
        bench.ignore("A", "S1")
        bench.connect("B", user: "x")
        // the pool is full: the used one makes room, and the limit is kept
        #expect(bench.got("S1") == ["X", "closed"])
        bench.login("S2")
        #expect(bench.got("S2").count == 5)
        bench.say("S2", Self.found("x", "pass"))
        #expect(bench.got("B") == ["R(···\\x3)"])
        bench.finish()
    }

    @Test func aLookupGoesBeforeTheClientsOfItsPool() {
        let bench = Self.bench { $0.moreDatabases[0].poolSize = 1 }
        bench.connect("A", user: "asker", database: "authdb")
        bench.say("A", password("key"))
        bench.login("S1")
        bench.say("A", query("begin"))
        bench.say("S1", complete("BEGIN") + readyInTransaction)
        bench.connect("C", user: "asker", database: "authdb")
        bench.say("C", password("key"))
        bench.say("C", query("select 1"))
        bench.connect("B", user: "x")
        bench.ignore("S1")
        bench.say("A", query("commit"))
        bench.say("S1", complete("COMMIT") + ready)
        #expect(bench.got("S1") == ["Q(commit)", "X", "closed"])
        bench.login("S2")
        bench.ignore("S2")
        bench.say("S2", Self.found("x", "pass"))
        #expect(bench.got("B") == ["R(···\\x3)"])
        #expect(bench.got("S2") == ["Q(select 1)"])
        bench.finish()
    }

    @Test func theLimitOfTheAuthPoolIsKept() {
        let bench = Self.bench { $0.moreDatabases[0].poolSize = 2 }
        for index in 0..<10 { bench.connect("A\(index)", user: "x\(index)") }
        bench.login("S1")
        bench.login("S2")
        #expect(bench.endpoints.count == 2)
        for index in 0..<10 {
            bench.say(index % 2 == 0 ? "S1" : "S2", Self.found("x\(index)", "pass"))
            #expect(bench.got("A\(index)") == ["R(···\\x3)"])
        }
        #expect(bench.endpoints.count == 2)
        bench.finish()
    }

    // MARK: Races

    @Test func whoLeavesTakesTheLookupAlongUnlessOthersWait() {
        let bench = Self.bench()
        bench.connect("A", user: "x")
        bench.connect("B", user: "x")
        bench.end("A")
        bench.login("S1")
        #expect(bench.got("S1").count == 5)
        bench.end("B")
        bench.say("S1", Self.found("x", "pass"))
        bench.connect("C", user: "y")
        bench.end("C")
        bench.connect("D", user: "z")
        bench.say("S1", Self.none)
        bench.say("S1", Self.found("z", "pass"))
        #expect(bench.got("D") == ["R(···\\x3)"])
        bench.finish()
    }

    @Test func killAndResume() {
        let bench = Self.bench()
        bench.connect("A", user: "x")
        bench.login("S1")
        bench.tell { board, now, list in
            if let database = board.database(named: "authdb") {
                board.kill(database, because: .killed, now: now, into: &list)
            }
        }
        #expect(!bench.isHere("S1"))
        #expect(bench.got("A") == [])
        bench.tell { board, now, list in board.resume(board.database(named: "authdb"), now: now, into: &list)
        }
        bench.login("S2")
        bench.say("S2", Self.found("x", "pass"))
        #expect(bench.got("A") == ["R(···\\x3)"])
        bench.finish()
    }

    @Test func aReloadEndsWhatWasRemembered() {
        let bench = Self.bench()
        bench.connect("A", user: "x")
        bench.login("S1")
        bench.say("S1", Self.found("x", "pass"))
        bench.ignore("S1")
        bench.connect("B", user: "y")
        bench.tell { board, now, list in board.reloaded(board.snapshot, for: nil, now: now, into: &list) }
        bench.ignore("S1")
        bench.say("S1", Self.found("y", "pass"))
        #expect(bench.got("B") == ["R(···\\x3)"])
        bench.connect("C", user: "x")
        #expect(bench.got("S1").count == 4)
        bench.finish()
    }

    /// A login is held against the secret it began with, whatever a reload says meanwhile.
    @Test func anExchangeIsHeldAgainstOneSecret() {
        let bench = Self.bench()
        bench.connect("A", user: "x")
        bench.login("S1")
        bench.say("S1", Self.found("x", "pass"))
        let changed = Self.bench { $0.secrets["x"] = "other" }.board.snapshot
        bench.tell { board, now, list in board.reloaded(changed, for: nil, now: now, into: &list) }
        bench.say("A", password("pass"))
        bench.reach("S2")
        #expect(bench.got("A") == ["R(···\\x3)"])
        #expect(bench.isHere("A"))
        bench.connect("B", user: "x")
        bench.say("B", password("pass"))
        #expect(bench.got("B") == ["R(···\\x3)"] + Self.failedLogin)
        bench.finish()
    }

    /// Names that only `*` covers are not remembered for somebody who has proved nothing.
    @Test func strangersMakeNoDatabases() {
        let bench = Self.bench {
            $0.autoDatabase = DatabaseEntry(name: "*")
            $0.autoDatabase?.hosts = ["10.0.0.3"]
        }
        let count = bench.board.databaseIDs.count
        for index in 0..<20 { bench.connect("A\(index)", user: "x", database: "auto\(index)") }
        bench.login("S1")
        bench.say("S1", Self.none)
        for index in 0..<20 { bench.say("A\(index)", password("pass")) }
        #expect(bench.board.databaseIDs.count == count)
        bench.finish()
    }

    @Test func shutdownDoesNotWaitForLookups() {
        let bench = Self.bench()
        bench.connect("A", user: "x")
        bench.login("S1")
        bench.tell { board, now, list in board.signalled(.shutdownWaitForServers, now: now, into: &list) }
        #expect(bench.got("A") == ["E(FATAL 08P01 server shutting down)", "closed"])
        let told = bench.say("S1", Self.found("x", "pass"))
        #expect(told.last == "exit")
    }

    // MARK: Where

    @Test func placesThatCannotBe() {
        let bench = Self.bench {
            $0.global.authDbname = nil
            var odd = DatabaseEntry(name: "odd")
            odd.authDbname = "nowhere"
            var own = DatabaseEntry(name: "own")
            own.authDbname = "pgbouncer"
            var off = DatabaseEntry(name: "off")
            off.authDbname = "authdb"
            $0.moreDatabases += [odd, own, off]
        }
        bench.connect("A", user: "x", database: "odd")
        #expect(bench.got("A") == Self.configuration)
        #expect(bench.log.contains { $0.contains("authentication database \"nowhere\" is not configured") })
        bench.connect("B", user: "x", database: "own")
        #expect(bench.got("B") == Self.configuration)
        bench.connect("C", user: "x", database: "pgbouncer")
        #expect(bench.got("C") == Self.configuration)
        bench.tell { board, _, list in
            if let database = board.database(named: "authdb") {
                board.setDisabled(database, true, into: &list)
            }
        }
        bench.connect("D", user: "x", database: "off")
        #expect(
            bench.got("D") == ["E(FATAL 08P01 authentication database \"authdb\" is disabled)", "closed"])
        // who is in auth_file needs none of that, and an unknown database is no place to ask
        bench.connect("E", user: "x", database: "nope")
        #expect(bench.got("E") == ["R(···\\x3)"])
        bench.finish()
    }
}

extension String {
    /// Each scalar as one byte, with `·` for zero.
    fileprivate var bytesOfScalars: Bytes {
        unicodeScalars.map { $0 == "·" ? 0 : UInt8(truncatingIfNeeded: $0.value) }
    }
}
