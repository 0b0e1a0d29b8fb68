import Auth
import Config
import Primitives
import Session
import Testing

@testable import Engine

/// What the HBA file decides, and what is left to helpers: names of system users, PBKDF2, passwords of
/// programs.
@Suite struct IdentityTests {
    /// A configuration as it is read from files, with `db` on 10.0.0.1.
    static func bench(
        hba: String? = nil, ident: String? = nil, userlist: String = "\"u\" \"secret\"\n",
        _ lines: String = "",
        databases: String = "db = host=10.0.0.1", helpers: Bool = true
    ) -> Bench {
        let ini = """
            [databases]
            \(databases)
            [pgbouncer]
            auth_file = users
            auth_hba_file = hba
            auth_ident_file = ident
            stats_period = 60
            server_tls_sslmode = disable
            \(lines)
            \(hba == nil ? "" : "auth_type = hba")
            """
        let files: [ByteString: String] = [
            "ini": ini, "users": userlist, "hba": hba ?? "", "ident": ident ?? "",
        ]
        let loaded = Snapshot.load(path: "ini") { path in
            files[path].map { .success(ByteString($0)) } ?? .failure(FileProblem("No such file"))
        }
        guard case .success(let good) = loaded else {
            Issue.record("\(loaded)")
            return Bench()
        }
        return Bench(snapshot: good.snapshot, helpers: helpers)
    }

    static let local = SocketAddress(family: .unix, processID: 5, userID: 501)

    // MARK: Rules

    @Test func everyMethod() {
        let bench = Self.bench(
            hba: """
                host db rejected all reject
                host db u 10.0.0.0/8 trust
                host db u 11.0.0.0/8 password
                host db u 12.0.0.0/8 md5
                host db u 13.0.0.0/8 scram-sha-256
                host db u 14.0.0.0/8 ldap ldapserver=a ldapprefix=b
                """)
        func from(_ first: UInt64, _ user: String = "u") -> [String] {
            let address = SocketAddress(family: .ipv4, high: first << 56)
            bench.dial("C\(first)", from: address)
            bench.say("C\(first)", startup([("user", user), ("database", "db")]))
            return bench.got("C\(first)").map { String($0.prefix(28)) }
        }
        #expect(from(10) == [])
        #expect(bench.endpoints.count == 1)
        #expect(from(11) == ["R(···\\x3)"])
        #expect(from(12).first?.hasPrefix("R(···\\x5") == true)
        #expect(from(13) == ["R(···\\xaSCRAM-SHA-256)"])
        #expect(from(14) == ["R(···\\x3)"])
        #expect(from(15) == ["E(FATAL 08P01 no authenticat", "closed"])
        #expect(from(16, "rejected") == ["E(FATAL 08P01 login rejected", "closed"])
        #expect(bench.log.contains { $0.contains("login rejected (hba line 1 of hba, method reject)") })
    }

    @Test func aFailureIsLoggedWithItsLine() {
        let bench = Self.bench(hba: "host all all all password")
        bench.connect("A")
        bench.say("A", password("wrong"))
        #expect(bench.got("A") == ["R(···\\x3)", "E(FATAL 08P01 password authentication failed)", "closed"])
        #expect(
            bench.log.contains {
                $0.contains("password authentication failed (hba line 1 of hba, method password)")
            })
        bench.finish()
    }

    @Test func rulesOfAReloadCountForTheNextLogin() {
        let bench = Self.bench(hba: "host all all all password")
        bench.connect("A")
        let trusting = Self.bench(hba: "host all all all trust").board.snapshot
        bench.tell { board, now, list in board.reloaded(trusting, for: nil, now: now, into: &list) }
        bench.connect("B")
        bench.login("S1")
        #expect(bench.got("B").last == "Z(I)")
        #expect(bench.got("A") == ["R(···\\x3)"])
        bench.finish()
    }

    // MARK: Peer

    @Test(arguments: [
        ("local all all peer", "joe", false), ("local all all peer map=m", "joe", true),
        ("local all all peer", "u", true), ("local all all peer map=m", "u", false),
    ])
    func peer(_ hba: String, _ system: String, _ isIn: Bool) {
        let bench = Self.bench(hba: hba, ident: "m joe u")
        bench.dial("A", from: Self.local)
        bench.say("A", startup([("user", "u"), ("database", "db")]))
        #expect(bench.got("A") == [])
        #expect(bench.jobs() == ["name of 501"])
        bench.done(.text(ByteString(system)))
        if isIn {
            bench.login("S1")
            #expect(bench.got("A").last == "Z(I)")
        } else {
            #expect(bench.got("A") == ["E(FATAL 08P01 unix socket login rejected)", "closed"])
        }
        bench.finish()
    }

    @Test func peerWithoutAName() {
        let bench = Self.bench(hba: "local all all peer")
        bench.dial("A", from: Self.local)
        bench.say("A", startup([("user", "u"), ("database", "db")]))
        _ = bench.jobs()
        bench.done(.failed("user id 501 has no name"))
        #expect(bench.got("A") == ["E(FATAL 08P01 unix socket login rejected)", "closed"])
        bench.dial("B", from: Self.local)
        bench.say("B", startup([("user", "u"), ("database", "db")]))
        _ = bench.jobs()
        bench.end("B")
        bench.done(.text("u"))
        bench.finish()
    }

    // MARK: Hosts by name

    @Test func aRuleThatNamesAHostWaitsForItsName() {
        let bench = Self.bench(hba: "host db u .example.com trust\nhost db u all reject\nhost db v all trust")
        let place = SocketAddress(family: .ipv4, high: 10 << 56 | 5 << 32)
        for (name, result) in [
            ("A", SideResult.text("a.example.com")), ("B", .text("example.com")), ("C", .failed("no")),
        ] {
            bench.dial(name, from: place)
            bench.say(name, startup([("user", "u"), ("database", "db")]))
            #expect(bench.got(name) == [])
            #expect(bench.jobs() == ["host of 10.0.0.5"])
            bench.done(result)
        }
        bench.login("S1")
        #expect(bench.got("A").last == "Z(I)")
        for name in ["B", "C"] { #expect(bench.got(name) == ["E(FATAL 08P01 login rejected)", "closed"]) }
        // Whom no such line can be for does not wait.
        bench.dial("D", from: place)
        bench.say("D", startup([("user", "x"), ("database", "db")]))
        #expect(bench.got("D").last == "closed" && bench.jobs() == [])
        bench.dial("E", from: place)
        bench.say("E", startup([("user", "u"), ("database", "db")]))
        #expect(bench.jobs() == ["host of 10.0.0.5"])
        bench.end("E")
        #expect(bench.jobs() == ["withdraw"])
        bench.finish()
    }

    // MARK: Passwords that others judge

    @Test(arguments: [
        ("ldap ldapserver=a ldapprefix=b", "ldap u pass", "LDAP authentication failed"),
        ("pam", "pam pgbouncer u pass from 10.0.0.5", "PAM authentication failed"),
        ("pam pamservice=db", "pam db u pass from 10.0.0.5", "PAM authentication failed"),
    ])
    func othersJudge(_ method: String, _ job: String, _ failure: String) {
        let bench = Self.bench(hba: "host db u all \(method)", userlist: "")
        let place = SocketAddress(family: .ipv4, high: 10 << 56 | 5 << 32)
        func ask(_ name: String) {
            bench.dial(name, from: place)
            bench.say(name, startup([("user", "u"), ("database", "db")]))
            #expect(bench.got(name) == ["R(···\\x3)"])
        }
        for name in ["A", "B", "C"] {
            ask(name)
            bench.say(name, password("pass"))
            #expect(bench.got(name) == [])
            #expect(bench.jobs() == [job])
        }
        bench.done(.allowed)
        bench.reach("S1")
        bench.ignore("S1")
        bench.say("S1", message("R", "···\u{3}"))
        #expect(bench.got("S1") == ["p(pass)"])
        bench.done(.failed("for a reason"))
        #expect(bench.got("B") == ["E(FATAL 08P01 \(failure))", "closed"])
        #expect(
            bench.log.contains {
                $0.contains("for a reason (hba line 1 of hba, method \(method.prefix { $0 != " " }))")
            })
        // Who goes away has its question taken back, and an answer that comes all the same finds nobody.
        bench.end("C")
        #expect(bench.jobs() == ["withdraw"])
        bench.done(.allowed)
        ask("D")
        bench.say("D", password(""))
        #expect(bench.got("D") == ["E(FATAL 08P01 empty password returned by client)", "closed"])
        ask("E")
        bench.say("E", message("p", Bytes(repeating: 0x41, count: 65_537)))
        #expect(bench.got("E").last == "closed")
        #expect(bench.jobs() == [])
        bench.finish()
    }

    @Test func theTypedPasswordIsNoSecretOfAnotherKind() {
        let bench = Self.bench(hba: "host all all all pam", userlist: "\"u\" \"stored\"\n")
        let typed = "md5" + String(repeating: "0", count: 32)
        bench.connect("A")
        bench.say("A", password(typed))
        _ = bench.jobs()
        bench.done(.allowed)
        bench.reach("S1")
        bench.ignore("S1")
        bench.say("S1", message("R", "···\u{3}"))
        #expect(bench.got("S1") == ["p(\(typed))"])
        bench.finish()
    }

    @Test func ldapWithoutOptions() {
        let bench = Self.bench("auth_type = ldap")
        bench.connect("A")
        #expect(bench.got("A") == ["E(FATAL 08P01 auth_ldap_options is null)", "closed"])
        bench.finish()
    }

    // MARK: Keys

    @Test func keysAreDerivedElsewhereOncePerUser() {
        let bench = Self.bench("auth_type = scram-sha-256")
        let first = message("p", Bytes("SCRAM-SHA-256\0\0\0\0\u{E}n,,n=,r=abcdef".utf8))
        for name in ["A", "B"] {
            bench.connect(name)
            bench.say(name, first)
            #expect(bench.got(name) == ["R(···\\xaSCRAM-SHA-256)"])
        }
        #expect(bench.jobs() == ["derive 4096"])
        bench.done(nil)
        for name in ["A", "B"] { #expect(bench.got(name).first?.hasPrefix("R(···\\xbr=abcdef") == true) }
        bench.connect("C")
        bench.say("C", first)
        #expect(bench.got("C").count == 2)
        #expect(bench.jobs() == [])
        // whoever has left is not missed
        bench.finish()
    }

    @Test func whoLeavesDuringADerivation() {
        let bench = Self.bench("auth_type = scram-sha-256")
        bench.connect("A")
        bench.say("A", message("p", Bytes("SCRAM-SHA-256\0\0\0\0\u{E}n,,n=,r=abcdef".utf8)))
        #expect(bench.jobs() == ["derive 4096"])
        bench.end("A")
        bench.done(nil)
        bench.connect("B")
        bench.say("B", message("p", Bytes("SCRAM-SHA-256\0\0\0\0\u{E}n,,n=,r=abcdef".utf8)))
        #expect(bench.jobs() == [])
        bench.finish()
    }

    @Test func aServersSaltIsWorkedOutElsewhereToo() {
        let bench = Self.bench("auth_type = trust")
        bench.connect("A")
        bench.reach("S1")
        bench.say("S1", message("R", "···\u{A}SCRAM-SHA-256··"))
        let asked = bench.sent["S1"].map { Bytes($0.suffix(24)) } ?? []
        let nonce = String(decoding: asked, as: UTF8.self)
        bench.say("S1", message("R", "···\u{B}r=\(nonce)zzz,s=c2FsdHNhbHQ=,i=4096"))
        #expect(bench.jobs() == ["derive 4096"])
        bench.ignore("S1")
        bench.done(nil)
        #expect(bench.got("S1").first?.hasPrefix("p(c=biws,r=") == true)
        bench.finish()
    }

    @Test func whenNobodyCanDerive() {
        let bench = Self.bench("auth_type = scram-sha-256")
        bench.connect("A")
        bench.say("A", message("p", Bytes("SCRAM-SHA-256\0\0\0\0\u{E}n,,n=,r=abcdef".utf8)))
        _ = bench.jobs()
        bench.done(.failed("busy"))
        #expect(bench.got("A").last == "closed")
        bench.finish()
    }

    // MARK: Passwords of programs and files

    @Test func aProgramTellsThePassword() {
        let bench = Self.bench(
            "auth_type = trust", databases: "db = host=10.0.0.1 password_command='print token'")
        bench.connect("A")
        bench.reach("S1")
        bench.say("S1", message("R", "···\u{3}"))
        bench.ignore("S1")
        #expect(bench.jobs() == ["run print token"])
        bench.done(.text("t0ken\n"))
        #expect(bench.got("S1") == ["p(t0ken)"])
        // a second server has it at once
        bench.say("S1", authenticationOk + backendKey(1, 1) + ready)
        bench.connect("B")
        bench.say("A", query("select 1"))
        bench.say("B", query("select 1"))
        bench.reach("S2")
        bench.ignore("S2")
        bench.say("S2", message("R", "···\u{3}"))
        #expect(bench.got("S2") == ["p(t0ken)"])
        #expect(bench.jobs() == [])
        // one that is refused is asked for anew
        bench.say("S2", failure("28P01", "password authentication failed", severity: "FATAL"))
        bench.pass(.seconds(15))
        bench.connect("C")
        bench.say("C", query("select 1"))
        bench.reach("S3")
        bench.ignore("S3")
        bench.say("S3", message("R", "···\u{3}"))
        #expect(bench.jobs() == ["run print token"])
        bench.done(.text("new"))
        #expect(bench.got("S3") == ["p(new)"])
        bench.finish()
    }

    @Test func anOldPasswordIsAskedForAgainInTheBackground() {
        let bench = Self.bench(
            "auth_type = trust\nserver_lifetime = 1\n[users]\nu = password_file=/run/token",
            databases: "db = host=10.0.0.1")
        func nextServer(_ name: String) {
            bench.reach(name)
            bench.ignore(name)
            bench.say(name, message("R", "···\u{3}"))
        }
        bench.connect("A")
        nextServer("S1")
        #expect(bench.jobs() == ["read /run/token"])
        bench.done(.text("one"))
        #expect(bench.got("S1") == ["p(one)"])
        bench.say("S1", authenticationOk + backendKey(1, 1) + ready)
        bench.end("S1")
        bench.pass(Limits.passwordRefreshAge)
        bench.say("A", query("select 1"))
        nextServer("S2")
        #expect(bench.jobs() == ["read /run/token"])
        #expect(bench.got("S2") == ["p(one)"])
        bench.done(.failed("gone"))
        bench.say("S2", authenticationOk + backendKey(2, 2) + ready)
        #expect(bench.got("S2") == ["Q(select 1)"])
        bench.finish()
    }

    @Test(arguments: [SideResult.failed("exit status 1"), .text(""), .text("\n"), .text("a\0b")])
    func noPassword(_ result: SideResult) {
        let bench = Self.bench(
            "auth_type = trust", databases: "db = host=10.0.0.1 password_file=/run/token")
        bench.connect("A")
        bench.reach("S1")
        bench.say("S1", message("R", "···\u{3}"))
        _ = bench.jobs()
        bench.done(result)
        #expect(bench.got("A") == ["E(FATAL 08P01 server login failed: no password)", "closed"])
        #expect(bench.log.contains { $0.contains("password_file gave no password: ") })
        bench.finish()
    }

    @Test func aServerThatTrustsNeedsNoProgram() {
        let bench = Self.bench(
            "auth_type = trust", databases: "db = host=10.0.0.1 password_command='print token'")
        bench.connect("A")
        bench.login("S1")
        #expect(bench.jobs() == [])
        #expect(bench.got("A").last == "Z(I)")
        bench.finish()
    }
}
