import Primitives

/// F11: the little SQL we read: DEALLOCATE of a name, and the words that drop statements.
enum StatementWords {
    static let words: [ByteString] = [
        "deallocate ", "DEALLOCATE ", "prepare ", "all", "x", "y", "\"x\"", "\"a b\"", "1", "select", ";",
        " ", "\t",
        "\n", "--", "/*", "*/", "\"", "\"\"", "discard", "DisCard all", "U&\"x\"", "$", "x.y", "PGBOUNCER_1",
        "''",
        "\u{E9}", ",", "(", "set", "X",
    ]
    /// What the client has prepared.
    private static let known = ["x", "1", "a b", "select"]

    static func run(_ bytes: Bytes) -> Verdict {
        let text = bytes.filter { $0 != 0 }
        if let problem = search(bytes) { return .finding(problem) }
        let rig = Rig(Rig.snapshots[3])
        let client = rig.connect("u", "db")
        rig.settle()
        for name in known {
            rig.feed(client, Message.typed("P", text: "\(name)~select 1~~~") + Message.sync)
            rig.settle()
        }
        let sent = rig.links[1].sent.count
        let heard = rig.links[client].sent.count
        rig.feed(client, Message.query(text) + Message.query("select 9"))
        let forwarded = Cutter(Bytes(rig.links[1].sent.dropFirst(sent))).pieces.map(\.bytes)
        let answered = Cutter(Bytes(rig.links[client].sent.dropFirst(heard)))
        if let problem = judge(text, forwarded, answered) { return .finding(problem) }
        rig.settle()
        let told = Cutter(Bytes(rig.links[client].sent.dropFirst(heard)))
        if rig.finding == nil, told.count(of: "Z") != 2, !isCopy(text) {
            return .finding("\(told.count(of: "Z")) ends of two queries for \(text.shown)")
        }
        rig.finish()
        return rig.finding.map { .finding($0) } ?? .fine
    }

    private static func judge(_ text: Bytes, _ forwarded: [Bytes], _ answered: Cutter) -> String? {
        let isOurs = answered.count(of: "C") == 1 && !forwarded.contains(Message.query(text))
        let meaning = model(text)
        if isOurs {
            guard let meaning else { return "answered \(text.shown), which is no DEALLOCATE of a name" }
            return known.contains(meaning) ? nil : "answered DEALLOCATE of \(meaning), which nobody prepared"
        }
        if let meaning, known.contains(meaning), isPlain(text) {
            return "passed on \(text.shown), which only we can answer"
        }
        let last = Message.query("select 9")
        if drops(text), forwarded.last == last, forwarded.contains(Message.query(text)) {
            return "sent the next query on behind \(text.shown)"
        }
        return nil
    }

    private static func isCopy(_ text: Bytes) -> Bool {
        String(decoding: text, as: UTF8.self).lowercased().hasPrefix("copyin")
    }

    /// The search for words, against the library's.
    private static func search(_ bytes: Bytes) -> String? {
        for (word, text) in [
            ("deallocate" as StaticString, "deallocate"), ("discard", "discard"), ("x", "x"),
        ] {
            let found = ByteString(bytes).withView { $0.containsIgnoringASCIICase(word) }
            if found != holds(bytes, text) { return "\(text) in \(bytes.shown): \(found)" }
        }
        return nil
    }

    private static func holds(_ bytes: Bytes, _ word: String) -> Bool {
        let folded = bytes.map { (0x41...0x5A).contains($0) ? $0 + 32 : $0 }
        let word = Array(word.utf8)
        guard folded.count >= word.count else { return false }
        return (0...folded.count - word.count).contains { folded[$0...].starts(with: word) }
    }

    private static func drops(_ text: Bytes) -> Bool { holds(text, "deallocate") || holds(text, "discard") }

    /// Without comments or more than one semicolon: what drivers send.
    private static func isPlain(_ text: Bytes) -> Bool {
        text.count <= 200 && !text.contains { $0 == 0x2D || $0 == 0x2F } && text.count { $0 == 0x3B } <= 1
    }

    private enum Token: Equatable {
        case word(String)
        case quoted(String)
        case number(String)
        case semicolon, other
    }

    /// The name that PostgreSQL would deallocate; `nil` when the text is anything else.
    private static func model(_ text: Bytes) -> String? {
        var tokens = tokens(text)
        while tokens.last == .semicolon { tokens.removeLast() }
        guard tokens.first == .word("deallocate") else { return nil }
        tokens.removeFirst()
        if tokens.count == 2, tokens[0] == .word("prepare") { tokens.removeFirst() }
        guard tokens.count == 1 else { return nil }
        switch tokens[0] {
        case .word(let name): return name == "all" ? nil : name
        // PostgreSQL takes no number and no reserved word without quotes; of a prepared name we do.
        case .quoted(let name), .number(let name): return name
        case .semicolon, .other: return nil
        }
    }

    private static func tokens(_ text: Bytes) -> [Token] {
        var tokens: [Token] = []
        var place = 0
        func isLetter(_ byte: UInt8) -> Bool {
            byte == 0x5F || byte >= 0x80 || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
        }
        func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
        while place < text.count {
            let byte = text[place]
            if byte == 0x20 || (0x09...0x0D).contains(byte) {
                place += 1
            } else if text[place...].starts(with: [0x2D, 0x2D]) {
                while place < text.count, text[place] != 0x0A, text[place] != 0x0D { place += 1 }
            } else if text[place...].starts(with: [0x2F, 0x2A]) {
                place = behindComment(text, place)
            } else if isLetter(byte) || isDigit(byte) {
                let start = place
                while place < text.count, isLetter(text[place]) || isDigit(text[place]) || text[place] == 0x24
                {
                    place += 1
                }
                let folded = text[start..<place].map { (0x41...0x5A).contains($0) ? $0 + 32 : $0 }
                let word = String(decoding: folded, as: UTF8.self)
                tokens.append(isDigit(byte) ? .number(word) : .word(word))
            } else if byte == 0x22 {
                guard let (name, next) = quoted(text, place) else { return [.other] }
                tokens.append(.quoted(name))
                place = next
            } else {
                tokens.append(byte == 0x3B ? .semicolon : .other)
                place += 1
            }
        }
        return tokens
    }

    private static func behindComment(_ text: Bytes, _ start: Int) -> Int {
        var depth = 0
        var place = start
        while place < text.count {
            if text[place...].starts(with: [0x2F, 0x2A]) {
                depth += 1
                place += 2
            } else if text[place...].starts(with: [0x2A, 0x2F]) {
                depth -= 1
                place += 2
                if depth == 0 { break }
            } else {
                place += 1
            }
        }
        return place
    }

    private static func quoted(_ text: Bytes, _ start: Int) -> (String, Int)? {
        var inside = Bytes()
        var place = start + 1
        while place < text.count {
            if text[place] == 0x22 {
                if place + 1 < text.count, text[place + 1] == 0x22 {
                    place += 1
                } else {
                    return inside.isEmpty ? nil : (String(decoding: inside, as: UTF8.self), place + 1)
                }
            }
            inside.append(text[place])
            place += 1
        }
        return nil
    }
}
