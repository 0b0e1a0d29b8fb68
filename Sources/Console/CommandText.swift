import Primitives
import Session

/// A command as it was typed: one of two forms, with quotes undone (PgBouncer's regular expressions, by
/// hand).
enum CommandText: Equatable {
    /// `WORD [ARGUMENT] [;]`; no argument is an empty one.
    case plain(word: ByteString, argument: ByteString)
    /// `SET KEY = VALUE [;]` or `SET KEY TO VALUE [;]`.
    case set(key: ByteString, value: ByteString)
    case tooLong
    case invalid

    init(_ text: ByteString) {
        if let plain = Self.plain(text) {
            self = plain
        } else {
            self = Self.set(text) ?? .invalid
        }
    }

    private static func plain(_ text: ByteString) -> CommandText? {
        var cursor = Cursor(text)
        cursor.skipSpace()
        guard let word = cursor.word() else { return nil }
        let spaced = cursor.skipSpace()
        var argument = ByteString([])
        if spaced, let second = cursor.word() {
            // An empty name in quotes is a script's missing variable, not "everything".
            if second.isEmpty { return nil }
            argument = second
        }
        guard cursor.isAtEnd() else { return nil }
        let fits = word.count <= Limits.wordBytes && argument.count <= Limits.argumentBytes
        return fits ? .plain(word: word, argument: argument) : .tooLong
    }

    private static func set(_ text: ByteString) -> CommandText? {
        var cursor = Cursor(text)
        cursor.skipSpace()
        guard cursor.take(word: "set"), cursor.skipSpace(), let key = cursor.word() else { return nil }
        cursor.skipSpace()
        guard cursor.take(byte: 0x3D) || cursor.take(word: "to") else { return nil }
        cursor.skipSpace()
        guard let value = cursor.quoted(by: 0x27) ?? cursor.word(), cursor.isAtEnd() else { return nil }
        let fits = !key.isEmpty && key.count <= Limits.argumentBytes && value.count <= Limits.valueBytes
        return fits ? .set(key: key, value: value) : .tooLong
    }
}

/// Reads a command from the front.
private struct Cursor {
    private let bytes: [UInt8]
    private var place = 0

    init(_ text: ByteString) { bytes = text.bytes }

    private var peek: UInt8? { place < bytes.count ? bytes[place] : nil }

    /// Whether there was any.
    @discardableResult
    mutating func skipSpace() -> Bool {
        let start = place
        while let byte = peek, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { place += 1 }
        return place > start
    }

    mutating func take(byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        place += 1
        return true
    }

    /// These letters, whatever their case.
    mutating func take(word: ByteString) -> Bool {
        let end = place + word.count
        guard end <= bytes.count, ByteString(Array(bytes[place..<end])).equalsIgnoringASCIICase(word) else {
            return false
        }
        place = end
        return true
    }

    /// Letters, digits and underscores, or anything in double quotes.
    mutating func word() -> ByteString? {
        if let name = quoted(by: 0x22) { return name }
        let start = place
        while let byte = peek, byte.isIdentifierByte, byte != 0x2E { place += 1 }
        return place > start ? ByteString(Array(bytes[start..<place])) : nil
    }

    /// A text in quotes; a quote inside stands twice. `nil`, and nothing is read, without a closing one.
    mutating func quoted(by quote: UInt8) -> ByteString? {
        guard peek == quote else { return nil }
        var text: [UInt8] = []
        var index = place + 1
        while index < bytes.count {
            if bytes[index] == quote {
                guard index + 1 < bytes.count, bytes[index + 1] == quote else {
                    place = index + 1
                    return ByteString(text)
                }
                index += 1
            }
            text.append(bytes[index])
            index += 1
        }
        return nil
    }

    /// Only blanks are left, and at most one semicolon among them.
    mutating func isAtEnd() -> Bool {
        skipSpace()
        if take(byte: 0x3B) { skipSpace() }
        return place == bytes.count
    }
}
