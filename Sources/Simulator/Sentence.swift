import Primitives

/// One statement of the model's small language, which stands where SQL stands. Answers carry the token of
/// whoever asked: `~client.number~`.
///
/// `rows N TOKEN [BYTES]` · `error TOKEN` · `broken TOKEN` (fails when parsed) · `sleep MICROSECONDS TOKEN` ·
/// `notice TOKEN` · `begin` `commit` `rollback` · `set [local] NAME='VALUE'` · `show NAME TOKEN` ·
/// `copyin TOKEN [FAIL]` (fails at that CopyData; 0: at once) · `copyout N TOKEN` · `deallocate NAME|all` ·
/// `discard all` · `savepoint NAME` · `rollback to NAME` · `release NAME` · `listen CHANNEL` ·
/// `notify CHANNEL TOKEN`. Anything else is a select of one row.
indirect enum Sentence: Equatable {
    case rows(Int, token: Bytes, size: Int)
    case error(Bytes)
    case broken(Bytes)
    case sleep(UInt64, token: Bytes)
    case notice(Bytes)
    case begin, commit, rollback
    case set(Bytes, Bytes, isLocal: Bool)
    case show(Bytes, token: Bytes)
    case copyIn(Bytes, failsAt: Int?)
    case copyOut(Int, token: Bytes)
    case deallocate(Bytes?)
    case discardAll
    case savepoint(Bytes)
    case rollbackTo(Bytes)
    case release(Bytes)
    case listen(Bytes)
    case notify(Bytes, token: Bytes)
    case configure(Bytes, Bytes)
    case other

    /// The statements of a query string; empty ones are left out.
    static func all(_ sql: Bytes) -> [Sentence] {
        var sentences: [Sentence] = []
        var start = 0
        var isQuoted = false
        let end = endWithoutPadding(sql)
        for index in 0...end {
            if index < end, sql[index] == 0x27 { isQuoted.toggle() }
            guard index == end || (sql[index] == 0x3B && !isQuoted) else { continue }
            if let sentence = Sentence(sql[start..<index]) { sentences.append(sentence) }
            start = index + 1
        }
        return sentences
    }

    /// The padding of a long message means nothing (`Step.padded`): it is not split into words.
    private static func endWithoutPadding(_ sql: Bytes) -> Int {
        sql.withUnsafeBytes { bytes in
            var end = bytes.count
            while end > 1000,
                bytes.loadUnaligned(fromByteOffset: end - 8, as: UInt64.self) == 0x7878_7878_7878_7878
            {
                end -= 8
            }
            while end > 1000, bytes[end - 1] == 0x78 { end -= 1 }
            return end
        }
    }

    /// `nil` for an empty statement.
    init?(_ text: ArraySlice<UInt8>) {
        let words = Self.words(text)
        guard let verb = words.first else { return nil }
        if let setting = Self.configuration(text) {
            self = setting
            return
        }
        func word(_ index: Int) -> Bytes { index < words.count ? Array(words[index]) : [] }
        func number(_ index: Int) -> Int { word(index).decimal ?? 0 }
        switch verb.lowercasedText {
        case "rows": self = .rows(number(1), token: word(2), size: number(3))
        case "error": self = .error(word(1))
        case "broken": self = .broken(word(1))
        case "sleep": self = .sleep(UInt64(number(1)), token: word(2))
        case "notice": self = .notice(word(1))
        case "begin": self = .begin
        case "commit": self = .commit
        case "rollback": self = words.count == 3 ? .rollbackTo(word(2)) : .rollback
        case "savepoint": self = .savepoint(word(1))
        case "release": self = .release(word(1))
        case "listen": self = .listen(word(1))
        case "notify": self = .notify(word(1), token: word(2))
        case "show": self = .show(word(1), token: word(2))
        case "copyin": self = .copyIn(word(1), failsAt: words.count > 2 ? number(2) : nil)
        case "copyout": self = .copyOut(number(1), token: word(2))
        case "deallocate": self = .deallocate(Self.identifier(word(1)))
        case "discard": self = .discardAll
        case "set": self = Self.setting(text)
        default: self = .other
        }
    }

    private static func words(_ text: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        var words: [ArraySlice<UInt8>] = []
        var start = text.startIndex
        text.withUnsafeBufferPointer { bytes in
            for index in 0...bytes.count where index == bytes.count || bytes[index] == 0x20 {
                let end = text.startIndex + index
                if end > start { words.append(text[start..<end]) }
                start = end + 1
            }
        }
        return words
    }

    /// A name as SQL reads it; `nil` for `all`.
    private static func identifier(_ word: Bytes) -> Bytes? {
        if word.count >= 2, word.first == 0x22, word.last == 0x22 {
            return Array(word.dropFirst().dropLast())
        }
        let folded = word.map(\.asciiLowercased)
        return folded == Array("all".utf8) ? nil : folded
    }

    /// `SELECT pg_catalog.set_config('NAME','VALUE',false)`, as the pooler writes it.
    private static func configuration(_ text: ArraySlice<UInt8>) -> Sentence? {
        guard text.first == 0x53, text.starts(with: "SELECT pg_catalog.set_config('".utf8) else { return nil }
        let head = "SELECT pg_catalog.set_config('".utf8
        let rest = text.dropFirst(head.count)
        guard let nameEnd = rest.firstIndex(of: 0x27), rest.suffix(7).elementsEqual(",false)".utf8) else {
            return nil
        }
        return .configure(Array(rest[..<nameEnd]), rest[(nameEnd + 2)...].dropLast(7).unquoted)
    }

    private static func setting(_ text: ArraySlice<UInt8>) -> Sentence {
        guard let equals = text.firstIndex(of: 0x3D) else { return .other }
        let names = text[..<equals].split(separator: 0x20)
        guard let name = names.last, names.count >= 2 else { return .other }
        let isLocal = names.count > 2 && names[1].lowercasedText == "local"
        return .set(Array(name), text[(equals + 1)...].unquoted, isLocal: isLocal)
    }

    /// Whether a described result has columns.
    var hasRows: Bool {
        switch self {
        case .rows, .sleep, .show, .configure, .other: true
        case .error, .broken, .notice, .begin, .commit, .rollback, .set, .copyIn, .copyOut, .deallocate,
            .discardAll, .savepoint, .rollbackTo, .release, .listen, .notify:
            false
        }
    }

    /// Allowed in a transaction that has failed.
    var endsTransaction: Bool {
        switch self {
        case .commit, .rollback, .rollbackTo: true
        default: false
        }
    }
}

extension ArraySlice<UInt8> {
    fileprivate var lowercasedText: String { String(decoding: map(\.asciiLowercased), as: UTF8.self) }

    /// The value of a string constant in quotes, or the bytes themselves.
    fileprivate var unquoted: Bytes {
        guard count >= 2, first == 0x27, last == 0x27 else { return Array(self) }
        var value: Bytes = []
        var skips = false
        for byte in dropFirst().dropLast() {
            skips = byte == 0x27 && !skips
            if !skips { value.append(byte) }
        }
        return value
    }
}

extension Bytes {
    var decimal: Int? {
        guard !isEmpty, count < 12 else { return nil }
        var value = 0
        for byte in self {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            value = value * 10 + Int(byte - 0x30)
        }
        return value
    }
}
