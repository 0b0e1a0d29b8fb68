import Primitives

/// A small PostgreSQL: answers what it is sent as the protocol says, and knows only as much SQL as the seeds
/// need.
struct ModelServer {
    /// How much of what was sent to it has been read.
    private var place = 0
    private var hasStarted = false
    private var status: UInt8 = 0x49
    private var isSkipping = false
    /// In COPY FROM STDIN; with ReadyForQuery behind it when a Query began it.
    private var copiesIn: Bool?
    private var statements: [Bytes: String] = [:]
    private var portals: [Bytes: String] = [:]
    /// The peer said goodbye, or this was a cancel request: the connection ends.
    private(set) var isOver = false
    /// Cancel requests that came, for the others to be told.
    private(set) var cancelled: Bytes?

    /// What it says to everything that was sent and not yet read.
    mutating func answers(to sent: Bytes) -> Bytes {
        var said = Bytes()
        while !isOver {
            if !hasStarted {
                guard let more = greeting(sent) else { break }
                said += more
                continue
            }
            guard sent.count - place >= 5 else { break }
            let length = sent[place + 1..<place + 5].reduce(0) { $0 << 8 | Int($1) }
            guard length >= 4, sent.count - place > length else { break }
            let body = Bytes(sent[place + 5..<place + 1 + length])
            said += answer(sent[place], body)
            place += length + 1
        }
        return said
    }

    private mutating func greeting(_ sent: Bytes) -> Bytes? {
        guard sent.count - place >= 8 else { return nil }
        let length = sent[place..<place + 4].reduce(0) { $0 << 8 | Int($1) }
        let code = sent[place + 4..<place + 8].reduce(0) { $0 << 8 | Int($1) }
        guard sent.count - place >= length else { return nil }
        if code == 1234 << 16 | 5678 {
            cancelled = Bytes(sent[place + 8..<place + length])
            isOver = true
            return []
        }
        place += length
        hasStarted = true
        return Self.welcome
    }

    static let welcome: Bytes =
        Message.typed("R", [0, 0, 0, 0]) + Message.parameter("server_version", Array("17.0".utf8))
        + Message.parameter("client_encoding", Array("UTF8".utf8))
        + Message.parameter("DateStyle", Array("ISO, MDY".utf8))
        + Message.parameter("TimeZone", Array("UTC".utf8))
        + Message.parameter("standard_conforming_strings", Array("on".utf8))
        + Message.parameter("application_name", []) + Message.typed("K", [0, 0, 0, 9, 1, 2, 3, 4])
        + Message.ready

    private mutating func answer(_ kind: UInt8, _ body: Bytes) -> Bytes {
        if kind == 0x58 {
            isOver = true
            return []
        }
        if let withReady = copiesIn { return copy(kind, withReady) }
        if isSkipping, kind != 0x53 { return [] }
        var texts = body.split(separator: 0, omittingEmptySubsequences: false).map { Bytes($0) }
        while texts.count < 3 { texts.append([]) }
        switch kind {
        case 0x51: return query(String(decoding: texts[0], as: UTF8.self))
        case 0x50: return parse(texts[0], String(decoding: texts[1], as: UTF8.self))
        case 0x42:
            guard let text = statements[texts[1]] else { return failed("26000", "no such statement") }
            portals[texts[0]] = text
            return Message.typed("2")
        case 0x44: return describe(texts[0])
        case 0x45:
            guard let text = portals[texts[0]] else { return failed("34000", "no such portal") }
            return run(text, isSimple: false)
        case 0x43:
            if texts[0].first == 0x53 { statements[Bytes(texts[0].dropFirst())] = nil }
            return Message.typed("3")
        case 0x53:
            isSkipping = false
            portals = [:]
            return Message.typed("Z", [status])
        case 0x46: return Message.typed("V", [0xFF, 0xFF, 0xFF, 0xFF]) + Message.typed("Z", [status])
        default: return []
        }
    }

    private mutating func query(_ text: String) -> Bytes {
        statements[[]] = nil
        portals = [:]
        let said = run(text, isSimple: true)
        if copiesIn != nil { return said }
        isSkipping = false
        return said + Message.typed("Z", [status])
    }

    private mutating func parse(_ name: Bytes, _ text: String) -> Bytes {
        if text.hasPrefix("error") { return failed("42601", "syntax error") }
        if !name.isEmpty, statements[name] != nil { return failed("42P05", "already exists") }
        statements[name] = text
        return Message.typed("1")
    }

    private mutating func describe(_ target: Bytes) -> Bytes {
        let name = Bytes(target.dropFirst())
        if target.first == 0x53 {
            guard statements[name] != nil else { return failed("26000", "no such statement") }
            return Message.typed("t", [0, 0]) + Message.columns
        }
        guard portals[name] != nil else { return failed("34000", "no such portal") }
        return Message.columns
    }

    private mutating func failed(_ state: String, _ text: String) -> Bytes {
        isSkipping = true
        if status == 0x54 { status = 0x45 }
        return Message.failure(state, text)
    }

    private mutating func run(_ text: String, isSimple: Bool) -> Bytes {
        let text = text.lowercased()
        if text.isEmpty { return Message.typed("I") }
        if text.hasPrefix("commit") || text.hasPrefix("rollback") {
            status = 0x49
            return Message.complete("COMMIT")
        }
        if status == 0x45 { return failed("25P02", "in failed transaction") }
        if text.hasPrefix("error") { return failed("42601", "syntax error") }
        if text.hasPrefix("begin") {
            status = 0x54
            return Message.complete("BEGIN")
        }
        if text.hasPrefix("set ") { return set(text) }
        if text.hasPrefix("discard all") || text.hasPrefix("deallocate all") {
            statements = [:]
            return Message.complete(text.hasPrefix("discard") ? "DISCARD ALL" : "DEALLOCATE ALL")
        }
        if text.hasPrefix("copyin") {
            copiesIn = isSimple
            return Message.typed("G", [0, 0, 0])
        }
        if text.hasPrefix("copyout") {
            return Message.typed("H", [0, 0, 0]) + Message.typed("d", text: "row")
                + Message.typed("c") + Message.complete("COPY 1")
        }
        return (isSimple ? Message.columns : []) + Message.dataRow(Array("1".utf8))
            + Message.complete("SELECT 1")
    }

    /// `SET name='value';…`, as the pooler writes it.
    private func set(_ text: String) -> Bytes {
        var said = Bytes()
        for part in text.split(separator: ";") {
            let words = part.dropFirst(4).split(separator: "=", maxSplits: 1)
            guard words.count == 2 else { continue }
            said += Message.complete("SET")
            let name = words[0] == "datestyle" ? "DateStyle" : words[0] == "timezone" ? "TimeZone" : words[0]
            said += Message.parameter(String(name), words[1].utf8.filter { $0 != 0x27 })
        }
        return said.isEmpty ? Message.complete("SET") : said
    }

    private mutating func copy(_ kind: UInt8, _ withReady: Bool) -> Bytes {
        if kind == 0x64 || kind == 0x48 || kind == 0x53 { return [] }
        copiesIn = nil
        var said = kind == 0x63 ? Message.complete("COPY 1") : failed("57014", "COPY failed")
        if withReady {
            isSkipping = false
            said += Message.typed("Z", [status])
        }
        return said
    }
}
