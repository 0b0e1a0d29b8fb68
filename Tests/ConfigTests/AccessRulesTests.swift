import Primitives
import Testing

@testable import Config

/// The HBA file: which line decides, and which files are refused.
@Suite struct AccessRulesTests {
    private static let files: [ByteString: ByteString] = [
        "dir/names": "ann bob, \"c d\"\n# nobody\n@more",
        "dir/more": "eve",
        "dir/part.conf": "host x x 1.2.3.4/32 trust",
        "dir/parts/b.conf": "local b all trust",
        "dir/parts/a.conf": "local a all reject",
        "dir/loop": "include loop",
        "dir/loop2": "local @loop2 all trust",
    ]

    private static func files(_ hba: ByteString, ident: ByteString? = nil) -> FolderReader {
        FolderReader(
            read: { path in
                if path == "dir/hba" { return .success(hba) }
                if path == "dir/ident", let ident { return .success(ident) }
                return files[path].map { .success($0) }
                    ?? .failure(FileProblem("No such file", isMissing: true))
            },
            list: { path in
                path == "dir/parts"
                    ? .success(["b.conf", ".a.conf", "a.conf", "c.txt"])
                    : .failure(FileProblem("No such folder"))
            })
    }

    private static func load(
        _ hba: ByteString, ident: ByteString? = nil
    ) -> Result<AccessRules, ConfigError> {
        let networks = Networks(
            hosts: [AddressRange(SocketAddress(parsing: "10.1.2.3")!, prefix: 32)!],
            networks: [AddressRange(SocketAddress(parsing: "10.1.2.3")!, prefix: 24)!])
        do throws(ConfigError) {
            return .success(
                try AccessRules.load(
                    hba: "dir/hba", ident: ident == nil ? nil : "dir/ident", networks: networks,
                    files(hba, ident: ident)))
        } catch {
            return .failure(error)
        }
    }

    /// What decides on `user@database` from an address, `unix`, `tls:ADDRESS` or `physical:ADDRESS`: a method and its line.
    private static func decision(
        _ hba: ByteString, _ who: String, _ address: String, host: HostName = .notAsked
    ) -> String {
        guard case .success(let rules) = load(hba) else { return "refused" }
        let parts = who.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        let isPhysical = address.hasPrefix("physical:")
        let address = isPhysical ? String(address.dropFirst(9)) : address
        let isEncrypted = address.hasPrefix("tls:")
        let place =
            address == "unix"
            ? SocketAddress(family: .unix)
            : SocketAddress(parsing: ByteString(isEncrypted ? String(address.dropFirst(4)) : address))!
        let decision = rules.decide(
            for: ByteString(String(parts[0])), database: ByteString(String(parts[1])), from: place,
            host: host, isEncrypted: isEncrypted, isPhysicalReplication: isPhysical)
        switch decision {
        case .rule(let rule): return "\(rule.method.name.lossyText) \(rule.line)"
        case .nothing: return "none"
        case .dependsOnHost: return "host?"
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let hba: ByteString
        let who: String
        let address: String
        let result: String
        init(_ hba: ByteString, _ who: String, _ address: String, _ result: String) {
            self.hba = hba
            self.who = who
            self.address = address
            self.result = result
        }
        var testDescription: String { "\(hba.lossyText): \(who) \(address)" }
    }

    static let cases: [Case] = [
        Case("", "a@d", "unix", "none"),
        Case("local all all trust", "a@d", "unix", "trust 1"),
        Case("local all all trust", "a@d", "1.2.3.4", "none"),
        Case("host all all all md5", "a@d", "unix", "none"),
        Case("# x\n\n \t\r\nlocal all all peer # y", "a@d", "unix", "peer 4"),
        Case("local d a reject\nlocal all all trust", "a@d", "unix", "reject 1"),
        Case("local d a reject\nlocal all all trust", "b@d", "unix", "trust 2"),
        Case("local d a reject\nlocal all all trust", "a@D", "unix", "trust 2"),
        // lists, with and without blanks
        Case("local d1,d2 a,b , c scram-sha-256", "c@d2", "unix", "scram-sha-256 1"),
        Case("local d1, d2 a password", "a@d2", "unix", "password 1"),
        Case("local d1,d2 a password", "a@d3", "unix", "none"),
        // quotes take keywords their meaning
        Case("local \"all\" all trust", "a@d", "unix", "none"),
        Case("local \"all\" all trust", "a@all", "unix", "trust 1"),
        Case("local \"a\"\"b\" \"x , y\" trust", "x , y@a\"b", "unix", "trust 1"),
        Case("local d \"#\" trust", "#@d", "unix", "trust 1"),
        Case("local sameuser all trust", "a@a", "unix", "trust 1"),
        Case("local sameuser all trust", "a@b", "unix", "none"),
        Case("local \"sameuser\" all trust", "a@sameuser", "unix", "trust 1"),
        Case("local replication all trust", "a@replication", "unix", "none"),
        Case("local \"replication\" all trust", "a@replication", "unix", "trust 1"),
        // physical replication has lines of its own
        Case("local all all trust\nlocal replication all md5", "a@d", "physical:unix", "md5 2"),
        Case("local d,replication all md5", "a@d", "physical:unix", "md5 1"),
        Case("local d,replication all md5", "a@d", "unix", "md5 1"),
        Case("local \"replication\" all md5", "a@replication", "physical:unix", "none"),
        // files
        Case("local all @names trust", "bob@d", "unix", "trust 1"),
        Case("local all @names trust", "c d@d", "unix", "trust 1"),
        Case("local all @names trust", "eve@d", "unix", "trust 1"),
        Case("local all @names trust", "nobody@d", "unix", "none"),
        Case("local all x,@names trust", "x@d", "unix", "trust 1"),
        Case("local all \"@names\" trust", "@names@d", "unix", "none"),
        Case("include part.conf", "x@x", "1.2.3.4", "trust 1"),
        Case("include_if_exists none.conf\nlocal all all md5", "x@x", "unix", "md5 2"),
        Case("include_dir parts", "x@a", "unix", "reject 1"),
        Case("include_dir parts", "x@b", "unix", "trust 1"),
        Case("local all \\\n all trust\nhost all all all md5", "x@b", "1.1.1.1", "md5 3"),
        // addresses
        Case("host all all 10.0.0.0/8 md5", "a@d", "10.255.1.1", "md5 1"),
        Case("host all all 10.0.0.0/8 md5", "a@d", "11.0.0.0", "none"),
        Case("host all all 10.9.9.9/8 md5", "a@d", "10.255.1.1", "md5 1"),
        Case("host all all 0.0.0.0/0 md5", "a@d", "10.255.1.1", "md5 1"),
        Case("host all all 0.0.0.0/0 md5", "a@d", "::1", "none"),
        Case("host all all ::/0 md5", "a@d", "10.0.0.1", "none"),
        Case("host all all 10.0.0.0/8 md5", "a@d", "::ffff:10.1.1.1", "md5 1"),
        Case("host all all 127.0.0.0 255.255.255.0 md5", "a@d", "127.0.0.9", "md5 1"),
        Case("host all all 127.0.0.0 255.255.255.0 md5", "a@d", "127.0.1.9", "none"),
        Case("host all all 128.0.0.0/9 md5", "a@d", "128.127.0.1", "md5 1"),
        Case("host all all 128.0.0.0/9 md5", "a@d", "128.128.0.1", "none"),
        Case("host all all ff20::/12 md5", "a@d", "ff2f::1", "md5 1"),
        Case("host all all ff20::/12 md5", "a@d", "ff30::1", "none"),
        Case("host all all fe80:0:0:1::/64 md5", "a@d", "fe80::2:2:3:4:5", "none"),
        Case("host all all fe80:0:0:1::/64 md5", "a@d", "fe80:0:0:1:2:3:4:5", "md5 1"),
        Case("host all all ::1/128 md5", "a@d", "::1", "md5 1"),
        Case("host all all 1.2.3.4/32 md5", "a@d", "1.2.3.5", "none"),
        Case("host all all samehost md5", "a@d", "10.1.2.3", "md5 1"),
        Case("host all all samehost md5", "a@d", "10.1.2.4", "none"),
        Case("host all all samenet md5", "a@d", "10.1.2.4", "md5 1"),
        Case("hostssl all all all md5\nhost all all all reject", "a@d", "1.1.1.1", "reject 2"),
        Case("hostssl all all all md5\nhost all all all reject", "a@d", "tls:1.1.1.1", "md5 1"),
        Case("hostnossl all all all md5", "a@d", "tls:1.1.1.1", "none"),
        Case("hostnossl all all all md5", "a@d", "1.1.1.1", "md5 1"),
        Case("hostnogssenc all all all md5", "a@d", "1.1.1.1", "md5 1"),
        // patterns
        Case("local \"/^d[0-9]+$\" all trust", "a@d12", "unix", "trust 1"),
        Case("local /^d[0-9]+$ all trust", "a@d12x", "unix", "none"),
        Case("local all /admin$ reject", "a-admin@d", "unix", "reject 1"),
        // names are bytes
        Case("local all caf\u{e9} trust", "cafe\u{301}@d", "unix", "none"),
        Case("local all K trust", "k@d", "unix", "none"),
        Case("hostssl all all all cert clientcert=verify-full", "a@d", "tls:1.1.1.1", "cert 1"),
        Case("host all all all ldap ldapserver=\"a b\" ldapprefix=u", "a@d", "1.1.1.1", "ldap 1"),
        Case("host all all all pam pamservice=db", "a@d", "1.1.1.1", "pam 1"),
    ]

    @Test(arguments: cases)
    func theFirstLineThatFitsDecides(_ one: Case) {
        #expect(Self.decision(one.hba, one.who, one.address) == one.result)
    }

    /// Rules that name hosts, and what is known of the client's.
    @Test(
        arguments: [
            ("db.example.com", HostName.notAsked, "host?"), ("db.example.com", .nameless, "none"),
            ("db.example.com", .name("db.example.com"), "md5 2"),
            ("DB.example.COM", .name("db.EXAMPLE.com"), "md5 2"),
            ("db.example.com", .name("xdb.example.com"), "none"),
            ("db.example.com", .name("db.example.com.x"), "none"),
            (".example.com", .name("db.example.com"), "md5 2"),
            (".example.com", .name("a.b.Example.com"), "md5 2"),
            (".example.com", .name("example.com"), "none"), (".example.com", .name(".example.com"), "none"),
            (".example.com", .name("dbexample.com"), "none"), ("\"all\"", .name("all"), "md5 2"),
        ] as [(String, HostName, String)])
    func hosts(_ address: String, _ host: HostName, _ result: String) {
        let hba = ByteString("host x all all reject\nhost d all \(address) md5\nhost e all all trust\n")
        #expect(Self.decision(hba, "a@d", "10.0.0.1", host: host) == result)
        // Whoever no such rule can be for does not wait for the DNS.
        #expect(Self.decision(hba, "a@x", "10.0.0.1") == "reject 1")
        #expect(Self.decision(hba, "a@e", "10.0.0.1") == "trust 3")
        #expect(Self.decision(hba, "a@d", "unix") == "none")
    }

    static let refused: [(ByteString, String)] = [
        ("local all all", "expected a method, and the line ends"),
        ("local all", "expected a user, and the line ends"),
        ("tcp all all all md5", "unknown type tcp"),
        ("hostgssenc all all all md5", "GSSAPI"),
        ("local all all mdfive", "unsupported method mdfive"),
        ("local all all gss", "unsupported method gss"),
        ("host all all all peer", "lines of type local only"),
        ("host all all 10.0.0.0/33 md5", "invalid mask"),
        ("host all all ::/129 md5", "invalid mask"),
        ("host all all 10.0.0.0/ md5", "invalid mask"),
        ("host all all 127.0.0.0/abc md5", "invalid mask"),
        ("host all all 127.0.0.0/+8 md5", "invalid mask"),
        ("host all all 127.0.0.0 md5", "did not find mask"),
        ("host all all 127.0.0.0 ffff:: md5", "did not find mask"),
        ("host all all 127.0.0 255.0.0.0 md5", "127.0.0 is no address"),
        ("host all all db.example.com 255.0.0.0 md5", "unsupported method 255.0.0.0"),
        ("host all all db.example.com/8 md5", "failed to parse address"),
        ("host all all db,example md5", "found a list"),
        ("host all all db!example md5", "is no address"),
        ("host all all all ldap", "one of ldapbasedn"),
        ("host all all all ldap ldapserver=a", "one of ldapbasedn"),
        ("host all all all ldap ldapprefix=a", "ldapserver is missing"),
        ("host all all all ldap ldapserver=a ldapprefix=a ldapbasedn=b", "cannot mix"),
        ("host all all all ldap ldapserver=a ldapbasedn=b ldaptls=yes", "expected 0 or 1"),
        ("host all all all ldap ldapserver=a ldapbasedn=b ldapport=0", "invalid ldapport 0"),
        ("host all all all ldap ldapserver=a ldapbasedn=b ldapscheme=x", "invalid ldapscheme x"),
        ("host all all all ldap ldapserver=a ldapbasedn=b map=x", "unsupported option map"),
        ("host all all all ldap ldapserver=a ldapbasedn=b ldapbindpasswd=two words", "a word without ="),
        ("host all all all ldap ldapurl=http://a/b", "expected ldap://host/base"),
        ("host all all all ldap ldapurl=ldap://a/b??all", "the scope is none of"),
        ("host all all all ldap ldapurl=ldap://a/b%4", "a % without"),
        ("host all all all ldap ldapurl=ldap://a/b?uid?sub?(a=b)", "cannot use ldapsearchattribute"),
        ("host all all all pam pamservice=../x", "the name of a file"),
        ("host all all all pam pam_use_hostname=1", "not supported"),
        ("host all all all pam map=x", "unsupported option map"),
        ("host all all 127.0.0/8 md5", "failed to parse address"),
        ("host all all 1.2.3.256/8 md5", "failed to parse address"),
        ("host all all 01.2.3.4/8 md5", "failed to parse address"),
        ("host all all 1::2::3/8 md5", "failed to parse address"),
        ("host all all 10.0.0.0/8,11.0.0.0/8 md5", "found a list"),
        ("local all +admins md5", "members of a role"),
        ("local samerole all md5", "members of a role"),
        ("local all \"a md5", "does not end"),
        ("local all all md5 map=x", "unsupported option map"),
        ("local all all peer user=x", "unsupported option user"),
        ("local all all peer map", "expected name=value"),
        ("local all all peer map=x", "ident map x is not found"),
        ("local /( all trust", "parenthesis"),
        ("local all @nothing trust", "nothing: No such file"),
        ("local ,all all trust", "expected a"),
        ("include nothing", "nothing: No such file"),
        ("include a b c", "expected one name"),
        ("include_dir nothing", "No such folder"),
        ("include loop", "inside one another"),
        ("local @loop2 all trust", "inside one another"),
        ("local all a\0b trust", "zero byte"),
    ]

    @Test(arguments: refused)
    func aBrokenLineRefusesTheWholeFile(_ line: ByteString, _ why: String) {
        let hba = ByteString(
            "local a a trust\n".utf8.map { $0 } + line.bytes + Array("\nlocal b b trust".utf8))
        guard case .failure(let error) = Self.load(hba) else {
            Issue.record("accepted")
            return
        }
        #expect(error.text.hasPrefix("could not parse hba config line (dir/"), "\(error.text)")
        #expect(error.text.contains(why), "\(error.text)")
        if !line.lossyText.contains("loop") { #expect(error.line == 2) }
    }

    @Test func aFileThatIsNotThereIsRefusedOnlyWhenItCounts() {
        for (type, isRefused) in [("hba", true), ("trust", false)] {
            let ini = ByteString("[pgbouncer]\nauth_type = \(type)\nauth_hba_file = nowhere\n")
            let loaded = Snapshot.load(path: "p.ini") {
                $0 == "p.ini" ? .success(ini) : .failure(FileProblem("No such file or directory"))
            }
            if case .failure(let errors) = loaded {
                #expect(isRefused)
                #expect(errors.errors.first?.text.contains("nowhere") == true)
            } else {
                #expect(!isRefused)
            }
        }
    }

    // MARK: Ident maps

    static let maps: [(ByteString, String, String, Bool)] = [
        ("m joe ann", "joe", "ann", true),
        ("m joe ann", "joe", "joe", false),
        ("m joe ann", "ann", "ann", false),
        ("x joe ann\nm joe bob", "joe", "ann", false),
        ("m joe all", "joe", "anybody", true),
        ("m joe \"all\"", "joe", "anybody", false),
        ("m joe \"all\"", "joe", "all", true),
        ("m \"j e\" \"a n\"", "j e", "a n", true),
        ("m /^(.*)@example\\.com$ \\1", "ann@example.com", "ann", true),
        ("m /^(.*)@example\\.com$ \\1", "ann@exampleXcom", "ann", false),
        ("m /^(.*)@example\\.com$ \\1", "ann@example.com", "bob", false),
        ("m /^(.*)@example\\.com$ \\1", "root@example.com@evil.com", "root", false),
        ("m /^(a|b)x$ pre_\\1_post", "bx", "pre_b_post", true),
        ("m /jo joe", "a-joe-b", "joe", true),
        ("m joe /^a.n$", "joe", "ann", true),
        ("m joe /^a.n$", "joe", "anna", false),
        ("m joe a\\1", "joe", "a\\1", true),
    ]

    @Test(arguments: maps)
    func aMapSaysWhoMayBeWhom(_ ident: ByteString, _ system: String, _ role: String, _ allowed: Bool) {
        guard case .success(let rules) = Self.load("local all all peer map=m\n", ident: ident + "\nm z z")
        else {
            Issue.record("refused")
            return
        }
        #expect(rules.maps.allows(ByteString(system), as: ByteString(role), by: "m") == allowed)
    }

    @Test func withoutAMapTheNamesAreTheSame() {
        let maps = IdentMaps()
        #expect(maps.allows("joe", as: "joe", by: nil))
        #expect(!maps.allows("joe", as: "Joe", by: nil))
        #expect(!maps.allows("joe", as: "joe", by: "m"))
    }

    @Test(
        arguments: ["m joe", "m joe ann x", "m joe,jim ann", "m /( ann", "m joe +ann", "m /^a \\1"]
            as [ByteString])
    func aBrokenMapIsRefused(_ ident: ByteString) {
        guard case .failure(let error) = Self.load("local all all trust", ident: ident) else {
            Issue.record("accepted")
            return
        }
        #expect(error.text.hasPrefix("could not parse ident config line (dir/ident:1)"), "\(error.text)")
    }
}

private func + (a: ByteString, b: StaticString) -> ByteString { ByteString(a.bytes + ByteString(b).bytes) }
