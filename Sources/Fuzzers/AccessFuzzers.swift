import Config
import Primitives

/// F8: HBA files.
enum AccessFiles {
    static let words: [ByteString] = [
        "local ", "host ", "hostssl ", "hostnossl ", "hostgssenc ", "all ", "sameuser ", "samerole ",
        "replication ",
        "samehost ", "samenet ", "trust", "reject", "password", "md5", "scram-sha-256", "peer", "cert",
        "ldap ", "pam ", "ldapserver=a ", "ldapprefix=\"uid=\" ", "ldapbasedn=dc=x ",
        "ldapurl=\"ldap://a/dc=x?uid?sub?(a=$username)\" ", "ldapbindpasswd=s ", "pamservice=p ", "%41", "?",
        "h.d.e ", ".d.e ", ".E ",
        " map=m", " map=\"m\"", "10.0.0.0/8 ", "127.0.0.1/32 ", "::1/128 ", "::ffff:1.2.3.4 ", "255.0.0.0 ",
        "/33 ",
        "0.0.0.0/0 ", "fe80::/10 ", "@names ", "include part\n", "include_if_exists part\n",
        "include_dir d\n",
        "\"", "\"\"", ",", " , ", "#", "\\\n", "\n", "\r\n", "\0", "\t", "+role ", "/^a(.*)$ ", "u ", "db ",
        "local all all trust\n", "host all all all md5\n", "host all all 10.0.0.0/8 reject\n", "\u{FEFF}",
    ]

    private static let places: [SocketAddress] = [
        SocketAddress(family: .unix, userID: 5),
        SocketAddress(family: .ipv4, high: 10 << 56 | 1 << 32),
        SocketAddress(family: .ipv4, high: 127 << 56 | 1 << 32),
        SocketAddress(family: .ipv6, low: 1),
    ]

    static func run(_ bytes: Bytes) -> Verdict {
        var input = Input(bytes)
        let parts = input.parts()
        let hba = parts.first.map { Bytes($0) } ?? []
        let names = parts.count > 1 ? Bytes(parts[1]) : []
        let part = parts.count > 2 ? Bytes(parts[2]) : []
        func load(_ hba: Bytes) -> Read {
            var reads = 0
            func read(_ path: ByteString) -> Result<ByteString, FileProblem> {
                reads += 1
                switch path {
                case "ini":
                    return .success("[pgbouncer]\nauth_type=hba\nauth_hba_file=hba\nauth_ident_file=ident\n")
                case "ident": return .success("m joe ann\nm /^(.*)x$ \\1\n")
                case "hba": return .success(ByteString(hba))
                case "names": return .success(ByteString(names))
                case "part", "d/a.conf": return .success(ByteString(part))
                default: return .failure(none)
                }
            }
            let list = { (path: ByteString) -> Result<[ByteString], FileProblem> in
                path == "d" ? .success(["a.conf"]) : .failure(none)
            }
            let loaded = Snapshot.load(path: "ini", networks: Networks(), list: list, read: read)
            if reads > 100_000 { return .failure("") }
            switch loaded {
            case .success(let loaded): return .success(loaded.snapshot.access)
            case .failure(let errors): return .failure(errors.errors.first?.text ?? "")
            }
        }
        let rules: AccessRules
        switch load(hba) {
        case .failure(let text):
            let isOneLine = !text.isEmpty && !text.utf8.contains { $0 < 0x20 || $0 == 0x7F }
            return isOneLine && text.contains("hba")
                ? .fine : .finding("error line: \(Bytes(text.utf8).shown)")
        case .success(let read): rules = read
        }
        // A comment in front changes no decision; a reject for all in front makes all of them one.
        let mark: Bytes = hba.starts(with: [0xEF, 0xBB, 0xBF]) ? Bytes(hba.dropFirst(3)) : hba
        guard case .success(let commented) = load(Bytes("# all, \"\n".utf8) + mark),
            case .success(let closed) = load(
                Bytes("local all all reject\nhost all all all reject\n".utf8) + mark)
        else { return .finding("a line in front refuses the file") }
        // What is broken behind them refuses all of it.
        if case .success = load(mark + Bytes("\n\nlocal all all nonsense\n".utf8)) {
            return .finding("a broken line was skipped")
        }
        for place in places {
            for (user, database) in [("u", "db"), ("ann", "ann"), ("all", "all"), ("", "")]
                as [(ByteString, ByteString)]
            {
                for isEncrypted in [false, true] {
                    func method(_ rules: AccessRules) -> AccessMethod? {
                        let decision = rules.decide(
                            for: user, database: database, from: place, host: .name("h.d.e"),
                            isEncrypted: isEncrypted)
                        if case .rule(let rule) = decision { return rule.method }
                        return nil
                    }
                    if method(rules) != method(commented) { return .finding("a comment changed a decision") }
                    if method(closed) != .reject { return .finding("a reject in front was not found") }
                }
            }
        }
        return .fine
    }

    private enum Read {
        case success(AccessRules)
        case failure(String)
    }

    private static let none = FileProblem("No such file or directory", isMissing: true)
}

/// F8b: ident maps and their regular expressions.
enum IdentFiles {
    static let words: [ByteString] = [
        "m joe ann\n", "m ", "/^(.*)@x$ ", "\\1", "all", "\"all\"", "/", "^", "$", "(", ")", "(?:", "|", "*",
        "+", "?",
        "{2}", "{1,3}", "{,", "[a-z]", "[^a]", "[", "]", "\\d", "\\w", "\\.", "\\", ".", "a", "joe", "(a*)*",
        "(a|b)+",
        "#", "\"", ",", "\n", "@f", "include f\n",
    ]

    static func run(_ bytes: Bytes) -> Verdict {
        var input = Input(bytes)
        let parts = input.parts().map { ByteString(Bytes($0)) }
        guard let first = parts.first else { return .fine }
        let second = parts.count > 1 ? parts[1] : "a"
        let text = parts.count > 2 ? parts[2] : "aab"
        return laws(first, second, text) ?? maps(first, text)
    }

    /// What must hold of all patterns.
    private static func laws(_ a: ByteString, _ b: ByteString, _ text: ByteString) -> Verdict? {
        guard let first = try? Pattern(a) else { return nil }
        let isFound = first.match(text) != nil
        let joined = { (parts: [ByteString]) in ByteString(parts.flatMap(\.bytes)) }
        if let whole = try? Pattern(joined(["^(?:", a, ")$"])), whole.match(text) != nil, !isFound {
            return .finding("a match of all is no match of a part")
        }
        if let grouped = try? Pattern(joined(["(", a, ")"])) {
            guard (grouped.match(text) != nil) == isFound else {
                return .finding("parentheses change a match")
            }
            if let group = grouped.match(text)?.firstGroup, group.count > text.count {
                return .finding("a group is longer than the text")
            }
        }
        guard let second = try? Pattern(b), let either = try? Pattern(joined([a, "|", b])) else { return nil }
        if (either.match(text) != nil) != (isFound || second.match(text) != nil) {
            return .finding("either of two is not one of them")
        }
        return nil
    }

    /// A map that counts lets nobody be another's role by an unknown name of a map.
    private static func maps(_ ident: ByteString, _ name: ByteString) -> Verdict {
        let loaded = Snapshot.load(path: "ini") {
            switch $0 {
            case "ini":
                .success("[pgbouncer]\nauth_type=hba\nauth_hba_file=hba\nauth_ident_file=ident\n")
            case "hba": .success("local all all trust\n")
            case "ident": .success(ident)
            default: .failure(FileProblem("No such file or directory", isMissing: true))
            }
        }
        switch loaded {
        case .failure(let errors):
            let text = errors.errors.first?.text ?? ""
            let isOneLine = !text.isEmpty && !text.utf8.contains { $0 < 0x20 || $0 == 0x7F }
            return isOneLine ? .fine : .finding("error line: \(Bytes(text.utf8).shown)")
        case .success(let loaded):
            let maps = loaded.snapshot.access.maps
            _ = maps.allows(name, as: "ann", by: "m")
            if maps.allows(name, as: name, by: "no such map\0") { return .finding("a map that is not there") }
            if !maps.allows(name, as: name, by: nil) { return .finding("no map, same name") }
            return .fine
        }
    }
}
