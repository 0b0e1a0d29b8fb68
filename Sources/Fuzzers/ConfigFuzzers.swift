import Config
import Engine
import Primitives

/// F7: configuration files.
enum IniFiles {
    static let words: [ByteString] = [
        "[pgbouncer]\n", "[databases]\n", "[users]\n", "[peers]\n", "%include a.ini\n", "%include b.ini\n",
        "%include p.ini\n", "\n%%\n", "auth_file = users\n", "auth_type = scram-sha-256\n", "pool_mode = ",
        "* = ", "db = host=h port=5432 dbname=x", "''", "'", "\"", ";", "#", "=", "\r\n", "\u{FEFF}", " ",
        "max_client_conn", "query_timeout = 1.5", "password=", "auth_user=", "pool_size=10", "0x10", "1e9",
        "99999999999", "-1", "10 MB", "1us", "listen_addr = *", "server_reset_query = ", "client_tls_sslmode",
        "ignore_startup_parameters = a, b", "admin_users = a,b",
    ]
    /// The files a script may hold; the first is the one that is loaded.
    private static let names: [ByteString] = ["p.ini", "a.ini", "b.ini", "users"]

    static func run(_ bytes: Bytes) -> Verdict {
        var input = Input(bytes)
        var files: [ByteString: ByteString] = [:]
        for (name, text) in zip(names, input.parts()) { files[name] = ByteString(text) }
        var reads = 0
        func read(_ path: ByteString) -> Result<ByteString, FileProblem> {
            reads += 1
            return files[path].map { .success($0) } ?? .failure(FileProblem("No such file or directory"))
        }
        let loaded = Snapshot.load(path: "p.ini", read: read)
        // Every include is a line, and eleven files deep is the end.
        if reads > 12 * (bytes.count + 2) { return .finding("bounds: \(reads) files read") }
        switch loaded {
        case .failure(let failure):
            if failure.errors.isEmpty || failure.errors.count > 100 {
                return .finding("\(failure.errors.count) errors")
            }
            for error in failure.errors {
                if let text = lineProblem(error.text) { return .finding("error line: \(text)") }
            }
            return .fine
        case .success(let loaded):
            for notice in loaded.notices {
                if let text = lineProblem(notice.text) { return .finding("notice: \(text)") }
            }
            return takesEffect(loaded.snapshot, Snapshot.load(path: "p.ini", read: read))
        }
    }

    /// One line, not too long, without control bytes.
    private static func lineProblem(_ text: String) -> String? {
        if text.isEmpty || text.utf8.count > 2000 { return "\(text.utf8.count) bytes" }
        if text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) { return Bytes(text.utf8).shown }
        return nil
    }

    private static func takesEffect(
        _ snapshot: Snapshot, _ again: Result<Snapshot.Loaded, ConfigErrors>
    ) -> Verdict {
        guard case .success(let second) = again else { return .finding("the second load fails") }
        for row in GlobalSettings.rows {
            let text = row.text(in: snapshot.global)
            if row.text(in: second.snapshot.global) != text { return .finding("\(row.name) differs at once") }
            // What is printed means itself, but for times, which are printed rounded.
            var copy = GlobalSettings()
            if (try? row.parse(text, into: &copy)) != nil {
                let printed = row.text(in: copy)
                var third = GlobalSettings()
                guard (try? row.parse(printed, into: &third)) != nil, row.text(in: third) == printed else {
                    return .finding("\(row.name) = \(printed.bytes.shown) does not survive")
                }
            }
        }
        if snapshot.databases != second.snapshot.databases || snapshot.users != second.snapshot.users {
            return .finding("entries differ at once")
        }
        let rig = Rig(Rig.snapshots[2])
        let client = rig.connect("u", "db")
        rig.settle()
        rig.feed(client, Message.query("begin"))
        rig.settle()
        let kept = snapshot.keepingStartSettings(of: rig.board.snapshot)
        rig.tell { $0.reloaded(kept, for: nil, now: $1, into: &$2) }
        rig.feed(client, Message.query("commit"))
        rig.settle()
        rig.pass(.seconds(3))
        rig.settle()
        rig.finish()
        return rig.finding.map { .finding("reload: \($0)") } ?? .fine
    }
}

/// F9: the list of users and secrets, against a model.
enum UserLists {
    static let words: [ByteString] = [
        "\"u\" \"secret\"\n", "\"", "\"\"", "\"\"\"", ";", "\n", "\r\n", "\0", " ", "\t", "\u{FEFF}",
        "\"a\"\"b\" \"c\"\"d\" rest", "\"md50123456789abcdef0123456789abcdef\"", "\"x\" x \"y\"",
    ]

    static func run(_ bytes: Bytes) -> Verdict {
        let found = try? Userlist.parse(ByteString(bytes), file: "users")
        let expected = model(bytes)
        if found == expected { return .fine }
        return .finding("\(found?.count ?? -1) users, the model says \(expected?.count ?? -1)")
    }

    private static func model(_ bytes: Bytes) -> [ByteString: ByteString]? {
        var secrets: [ByteString: ByteString] = [:]
        let text = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Bytes(bytes.dropFirst(3)) : bytes
        for line in text.split(separator: 0x0A) {
            let line = Bytes(line.drop { $0 == 0x20 || (0x09...0x0D).contains($0) })
            if line.isEmpty || line[0] == 0x3B { continue }
            guard !line.contains(0), let (name, behind) = quoted(line) else { return nil }
            let second = Bytes(behind.drop { $0 != 0x22 })
            guard let (secret, _) = quoted(second), name.count <= 127, secret.count <= 65_530 else {
                return nil
            }
            secrets[ByteString(name)] = ByteString(secret)
        }
        return secrets
    }

    /// The text between quotes at the front, and what stands behind it.
    private static func quoted(_ text: Bytes) -> (Bytes, Bytes)? {
        guard text.first == 0x22 else { return nil }
        var inside = Bytes()
        var place = 1
        while place < text.count {
            let isQuote = text[place] == 0x22
            if isQuote, place + 1 >= text.count || text[place + 1] != 0x22 {
                return (inside, Bytes(text[(place + 1)...]))
            }
            inside.append(text[place])
            place += isQuote ? 2 : 1
        }
        return nil
    }
}
