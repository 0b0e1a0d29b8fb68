import Primitives
import Wire

/// F1: the first bytes of a connection, whatever they are.
enum FirstBytes {
    static let words: [ByteString] = [
        "user", "database", "options", "replication", "_pq_.x", "pgbouncer", "GET / HTTP/1.1\r\n",
        "SSH-2.0-x\r\n", ByteString(Message.word(1234 << 16 | 5679)),
        ByteString(Message.word(1234 << 16 | 5680)), ByteString(Message.word(1234 << 16 | 5678)),
        ByteString(Message.word(3 << 16)), ByteString(Message.word(3 << 16 | 2)),
        ByteString(Message.word(3 << 16 | 9999)), ByteString(Message.word(2 << 16)),
        ByteString([0x16, 3, 1]), ByteString([0, 0, 0, 8]), ByteString([0]),
    ]

    static func run(_ bytes: Bytes) -> Verdict {
        firstFinding({ packet(bytes) }, { pairs(bytes) }, { splits(bytes) })
    }

    /// Every prefix, against a model; and what was decided stays decided.
    private static func packet(_ bytes: Bytes) -> String? {
        var decided: String?
        // Beyond the longest packet nothing changes.
        let lengths = Array(0...min(bytes.count, 24)) + [bytes.count]
        for length in lengths where length <= bytes.count {
            let prefix = Bytes(bytes.prefix(length))
            let found = ByteString(prefix).withView { describe(StartupPacket.read($0)) }
            let expected = model(prefix)
            if found != expected {
                return "first bytes \(prefix.shown): \(found), the model says \(expected)"
            }
            if let decided, decided != found { return "decided \(decided), then \(found)" }
            if found != "incomplete" { decided = found }
            if length >= StartupPacket.limitBytes, found == "incomplete" {
                return "wants more than 10,000 bytes"
            }
        }
        return nil
    }

    private static func describe(_ read: (packet: StartupPacket, length: Int)) -> String {
        switch read.packet {
        case .incomplete: "incomplete"
        case .startup(let minor, let parameters): "startup \(minor) \(parameters.count) \(read.length)"
        case .sslRequest: "ssl \(read.length)"
        case .gssRequest: "gss \(read.length)"
        case .cancel(let processID, let secret): "cancel \(processID) \(secret.count) \(read.length)"
        case .oldProtocol: "old"
        case .directTLS: "tls"
        case .message(let kind): "message \(kind)"
        case .unknown: "unknown"
        }
    }

    private static func model(_ bytes: Bytes) -> String {
        func word(_ place: Int) -> Int? {
            place + 4 <= bytes.count ? bytes[place..<place + 4].reduce(0) { $0 << 8 | Int($1) } : nil
        }
        guard let first = bytes.first else { return "incomplete" }
        if first != 0 { return first == 22 ? "tls" : "message \(first)" }
        guard let length = word(0) else { return "incomplete" }
        if length < 8 || length > 10_000 { return "unknown" }
        guard let code = word(4) else { return "incomplete" }
        let isHere = bytes.count >= length
        switch (code / 65536, code % 65536) {
        case (1234, 5679): return length == 8 ? "ssl 8" : "unknown"
        case (1234, 5680): return length == 8 ? "gss 8" : "unknown"
        case (1234, 5678):
            if length > 268 { return "unknown" }
            // Too short for a key: nobody is meant, and nothing more is waited for.
            if length < 16 { return "cancel 0 0 \(length)" }
            return isHere ? "cancel \(word(8) ?? 0) \(length - 12) \(length)" : "incomplete"
        case (3, let minor): return isHere ? "startup \(minor) \(length - 8) \(length)" : "incomplete"
        case (2, _): return "old"
        default: return "unknown"
        }
    }

    /// The pairs of a StartupMessage against a model made of splits.
    private static func pairs(_ bytes: Bytes) -> String? {
        let found = ByteString(bytes).withView { view -> [Bytes]? in
            guard var pairs = StartupParameters(view) else { return nil }
            var all: [Bytes] = []
            while let (name, value) = pairs.next() {
                all.append(ByteString(name).bytes)
                all.append(ByteString(value).bytes)
                if all.count > 2 * bytes.count + 2 { return [[]] }
            }
            return all
        }
        let expected = pairModel(bytes)
        if found == expected { return nil }
        return "pairs: \(found?.count ?? -1) texts, the model says \(expected?.count ?? -1)"
    }

    private static func pairModel(_ bytes: Bytes) -> [Bytes]? {
        guard bytes.last == 0 else { return nil }
        let parts = bytes.dropLast().split(separator: 0, omittingEmptySubsequences: false).map { Bytes($0) }
        if bytes.count == 1 { return [] }
        // name value name value "" — the last part is empty, and no name before it is.
        guard parts.count % 2 == 1, parts.last == [] else { return nil }
        for index in stride(from: 0, to: parts.count - 1, by: 2) where parts[index].isEmpty { return nil }
        return Array(parts.dropLast())
    }

    /// The whole pooler, under every delivery.
    private static func splits(_ bytes: Bytes) -> String? {
        if bytes.isEmpty { return nil }
        var first: [String: Bytes]?
        for delivery in [Delivery.whole, .byteByByte, .random] {
            let rig = Rig(Rig.snapshots[2])
            let client = rig.dial()
            rig.feed(client, bytes, in: delivery.pieces(bytes.count, seed: seed(of: bytes)))
            if rig.links[client].isAlive, rig.links[client].kept.count > StartupPacket.limitBytes,
                rig.links[client].sent.isEmpty
            {
                return "bounds: \(rig.links[client].kept.count) bytes kept before login"
            }
            let told = rig.transcript
            if rig.written > 64 * 1024 { return "bounds: \(rig.written) bytes written" }
            if delivery == .whole { rig.finish() }
            if let finding = rig.finding { return finding }
            // A packet that must be the only one is judged by what came with it.
            if isEncryptionRequest(bytes) { continue }
            if let first, let text = difference(first, told) { return "split: \(delivery): \(text)" }
            first = first ?? told
        }
        return nil
    }

    private static func isEncryptionRequest(_ bytes: Bytes) -> Bool {
        bytes.starts(with: [0, 0, 0, 8, 4, 0xD2, 0x16])
    }
}

/// F2: the parameters of a StartupMessage, `options` above all.
enum StartupOptions {
    static let words: [ByteString] = [
        "-c", "--", "-c ", "=", "\\", " ", "application_name", "DateStyle", "datestyle=", "TimeZone",
        "client_encoding", "standard_conforming_strings", "-c search_path=", "--application-name=x",
        "extra_float_digits", "\\\\", "\\ ", "\t", "\u{7F}",
    ]
    private static let followed = [
        "client_encoding", "datestyle", "timezone", "standard_conforming_strings", "application_name",
    ]

    /// The first byte says whether the rest is the value of `options` or a list of pairs.
    static func run(_ bytes: Bytes) -> Verdict {
        var input = Input(bytes)
        let isOptions = input.choice(3) > 0
        let rest = input.rest()
        var pairs: [(Bytes, Bytes)] = [(Array("user".utf8), Array("u".utf8))]
        pairs.append((Array("database".utf8), Array("db".utf8)))
        if isOptions {
            pairs.append((Array("options".utf8), rest.filter { $0 != 0 }))
        } else {
            let texts = rest.split(separator: 0).map { Bytes($0) }
            for index in stride(from: 0, to: texts.count - 1, by: 2) {
                pairs.append((texts[index], texts[index + 1]))
            }
        }
        let packet = Message.startup(pairs)
        let rig = Rig(Rig.snapshots[2])
        let client = rig.dial()
        rig.feed(client, packet)
        rig.settle()
        if rig.finding == nil, packet.count <= 10_000, let text = compare(rig, client, pairs) {
            return .finding(text)
        }
        rig.finish()
        return rig.finding.map { .finding($0) } ?? .fine
    }

    private static func compare(_ rig: Rig, _ client: Int, _ pairs: [(Bytes, Bytes)]) -> String? {
        // What a replication connection may ask for is its server's business.
        if let asked = pairs.last(where: { $0.0 == Array("replication".utf8) }), !saysNo(asked.1) {
            return nil
        }
        let said = Cutter(rig.links[client].sent).pieces
        let isRefused = said.contains { $0.kind == 0x45 }
        guard let wishes = model(pairs) else {
            return isRefused ? nil : "accepted, the model refuses it"
        }
        if isRefused {
            let error = said.filter { $0.kind == 0x45 }.flatMap(\.bytes)
            return "refused with \(error.shown), the model accepts it"
        }
        for (name, value) in wishes {
            let told = said.last { $0.kind == 0x53 && lower($0.body, until: 0) == Array(name.utf8) }
            guard let told else { return "\(name) is not in the greeting" }
            let found = Bytes(told.body.drop { $0 != 0 }.dropFirst().dropLast())
            let wish = name == "client_encoding" ? encoding(value) : value
            if found != wish { return "\(name) is \(found.shown), the model says \(wish.shown)" }
        }
        return nil
    }

    /// PostgreSQL looks at nothing but letters and digits of an encoding's name.
    private static func encoding(_ value: Bytes) -> Bytes {
        let known: Set<String> = ["utf8", "unicode"]
        let text = String(decoding: value.filter { $0 < 0x80 }, as: UTF8.self).lowercased()
        return known.contains(text.filter { $0.isLetter || $0.isNumber }) ? Array("UTF8".utf8) : value
    }

    private static func saysNo(_ value: Bytes) -> Bool {
        ["false", "off", "no", "0"].contains(String(decoding: value, as: UTF8.self))
    }

    private static func lower(_ bytes: Bytes, until end: UInt8) -> Bytes {
        bytes.prefix { $0 != end }.map { (0x41...0x5A).contains($0) ? $0 + 32 : $0 }
    }

    /// What the client wishes for, by lower-case name; `nil` when it must be refused.
    private static func model(_ pairs: [(Bytes, Bytes)]) -> [String: Bytes]? {
        var wishes: [String: Bytes] = [:]
        var user = Bytes()
        var database = Bytes()
        func wish(_ name: Bytes, _ value: Bytes) -> Bool {
            let name = String(decoding: lower(name, until: 0), as: UTF8.self)
            guard followed.contains(name) else { return false }
            wishes[name] = value
            return true
        }
        for (name, value) in pairs {
            switch String(decoding: name, as: UTF8.self) {
            case "user": user = value
            case "database": database = value
            case "options":
                var words = words(value)
                while let word = words.first {
                    words.removeFirst()
                    var setting = word
                    if word == Array("-c".utf8) {
                        guard let next = words.first else { return nil }
                        setting = next
                        words.removeFirst()
                    } else if word.starts(with: Array("-c".utf8)) || word.starts(with: Array("--".utf8)) {
                        setting = Bytes(word.dropFirst(2))
                    } else {
                        return nil
                    }
                    guard let equals = setting.firstIndex(of: 0x3D), equals > 0 else { return nil }
                    let name = setting[..<equals].map { $0 == 0x2D ? 0x5F : $0 }
                    guard wish(name, Bytes(setting[(equals + 1)...])) else { return nil }
                }
            case "replication":
                guard saysNo(value) else { return nil }
            case let text where name.starts(with: Array("_pq_.".utf8)) && !text.isEmpty: break
            default:
                guard wish(name, value) || name == Array("extra_float_digits".utf8) && ignoresFloatDigits
                else { return nil }
            }
        }
        let isKnown = ["u", "v", "admin", "watcher", "pgbouncer"].map { Array($0.utf8) }.contains(user)
        let place = database.isEmpty ? user : database
        guard isKnown, ["db", "other"].map({ Array($0.utf8) }).contains(place) else { return nil }
        return wishes
    }

    /// The default of `ignore_startup_parameters` is empty.
    private static let ignoresFloatDigits = false

    /// Blanks separate; a backslash takes the next byte as it is.
    private static func words(_ text: Bytes) -> [Bytes] {
        var words: [Bytes] = []
        var word: Bytes?
        var isEscaped = false
        for byte in text {
            if isEscaped {
                word = (word ?? []) + [byte]
                isEscaped = false
            } else if byte == 0x5C {
                word = word ?? []
                isEscaped = true
            } else if byte == 32 || (9...13).contains(byte) {
                if let done = word { words.append(done) }
                word = nil
            } else {
                word = (word ?? []) + [byte]
            }
        }
        if isEscaped { word = (word ?? []) + [0x5C] }
        if let done = word { words.append(done) }
        return words
    }
}
