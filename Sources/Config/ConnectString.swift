public import Primitives

/// The `key=value key='it''s'` text of an entry in `[databases]`, `[users]` and `[peers]`.
public enum ConnectString {
    public struct Pair: Equatable, Sendable {
        public let key: ByteString
        public let value: ByteString
    }

    /// Why a text is no connection string; a sentence without secrets.
    public struct Problem: Error, Equatable, Sendable {
        public let text: String
        public init(text: String) { self.text = text }
    }

    /// The pairs in their order. A value may be quoted, with `''` for a quote; it is never empty.
    public static func pairs(_ text: ByteString) throws(Problem) -> [Pair] {
        var pairs: [Pair] = []
        var cursor = ByteCursor(text)
        cursor.skip { $0.isBlank }
        while !cursor.atEnd {
            let key = cursor.take { $0 != UInt8(ascii: "=") && !$0.isBlank }
            cursor.skip { $0.isBlank }
            guard !key.isEmpty, cursor.skip(UInt8(ascii: "=")) else {
                throw Problem(text: "syntax error in connection string: expected key=value pairs")
            }
            cursor.skip { $0.isBlank }
            let value = try value(of: key, &cursor)
            guard !value.isEmpty else {
                throw Problem(text: "syntax error in connection string: \(key.quotable) has no value")
            }
            pairs.append(Pair(key: key, value: value))
            cursor.skip { $0.isBlank }
        }
        return pairs
    }

    private static func value(of key: ByteString, _ cursor: inout ByteCursor) throws(Problem) -> ByteString {
        guard cursor.skip(UInt8(ascii: "'")) else { return cursor.take { !$0.isBlank } }
        var value: [UInt8] = []
        repeat {
            value += cursor.take { $0 != UInt8(ascii: "'") }.bytes
            guard cursor.skip(UInt8(ascii: "'")) else {
                throw Problem(
                    text: "syntax error in connection string: expected ' after the value of \(key.quotable)")
            }
            if cursor.peek == UInt8(ascii: "'") { value.append(UInt8(ascii: "'")) }
        } while cursor.skip(UInt8(ascii: "'"))
        guard cursor.peek?.isBlank ?? true else {
            throw Problem(
                text: "syntax error in connection string: expected a space after \(key.quotable)='...'")
        }
        return ByteString(value)
    }

    /// The text as an error may quote it: nothing from a password on.
    static func withoutSecrets(_ text: ByteString) -> ByteString {
        let words: [ByteString] = ["password", "ldapbindpasswd"]
        var cursor = ByteCursor(text)
        while !cursor.atEnd {
            cursor.skip { $0.asciiLowercased != UInt8(ascii: "p") && $0.asciiLowercased != UInt8(ascii: "l") }
            let start = cursor.place
            if let word = words.first(where: { cursor.skip(word: $0) }) {
                return ByteString(Array(text.bytes.prefix(start)) + word.bytes + Array("=...".utf8))
            }
            _ = cursor.next()
        }
        return text
    }
}

/// Reads one value of a pair, with the sentence for a bad one.
struct PairReader {
    let pair: ConnectString.Pair

    /// A number; `nil` for one below `least`, which means "not set".
    func count(least: Int = 0) throws(ConnectString.Problem) -> Int? {
        guard let value = Numbers.decimal(pair.value), value >= -Limits.largestInteger - 1,
            value <= Limits.largestInteger
        else { throw bad("an integer up to \(Limits.largestInteger)") }
        return value < least ? nil : value
    }

    func port() throws(ConnectString.Problem) -> UInt16 {
        guard let value = Numbers.decimal(pair.value), value > 0, let port = UInt16(exactly: value) else {
            throw ConnectString.Problem(text: "invalid port: \(pair.value.quotable): expected 1 to 65535")
        }
        return port
    }

    /// A time; `nil` for a negative one and, if asked for, for zero.
    func time(zeroIsUnset: Bool) throws(ConnectString.Problem) -> TimeSpan? {
        if let seconds = Numbers.decimal(pair.value), seconds < 0 { return nil }
        guard let span = Numbers.time(pair.value) else { throw bad(Codec<TimeSpan>.time.expected) }
        return zeroIsUnset && span.isZero ? nil : span
    }

    func choice<Word: Choice>(_ name: String) throws(ConnectString.Problem) -> Word {
        let codec = Codec<Word>.choice()
        guard let word = codec.parse(pair.value) else {
            throw ConnectString.Problem(
                text: "invalid \(name): \(pair.value.quotable): expected \(codec.expected)")
        }
        return word
    }

    private func bad(_ expected: String) -> ConnectString.Problem {
        ConnectString.Problem(text: "\(pair.key.quotable)=\(pair.value.quotable): expected \(expected)")
    }
}
