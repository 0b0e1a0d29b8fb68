import Primitives

/// Walks over bytes from front to back. Every step is checked, so no file can lead it astray.
struct ByteCursor {
    private let bytes: [UInt8]
    private(set) var place = 0

    init(_ text: ByteString) { bytes = text.bytes }

    var atEnd: Bool { place >= bytes.count }
    var peek: UInt8? { place < bytes.count ? bytes[place] : nil }

    mutating func next() -> UInt8? {
        guard place < bytes.count else { return nil }
        defer { place += 1 }
        return bytes[place]
    }

    /// Steps over this byte, if it is the next one.
    mutating func skip(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        place += 1
        return true
    }

    mutating func skip(while holds: (UInt8) -> Bool) {
        while place < bytes.count, holds(bytes[place]) { place += 1 }
    }

    mutating func take(while holds: (UInt8) -> Bool) -> ByteString {
        let start = place
        skip(while: holds)
        return ByteString(Array(bytes[start..<place]))
    }

    /// Everything that is left.
    mutating func takeRest() -> ByteString { take { _ in true } }

    /// Steps over these bytes, if they come next.
    mutating func skip(bytes wanted: [UInt8]) -> Bool {
        guard wanted.count <= bytes.count - place, bytes[place..<place + wanted.count].elementsEqual(wanted)
        else {
            return false
        }
        place += wanted.count
        return true
    }

    /// Steps over this word, if it comes next, whatever the case of its ASCII letters.
    mutating func skip(word: ByteString) -> Bool {
        guard word.count <= bytes.count - place else { return false }
        let found = bytes[place..<place + word.count]
        let same = zip(found, word.bytes).allSatisfy { $0.asciiLowercased == $1.asciiLowercased }
        if same { place += word.count }
        return same
    }
}

extension UInt8 {
    /// What C's `isspace` says in the C locale.
    var isSpace: Bool { self == 0x20 || (self >= 0x09 && self <= 0x0D) }
    /// A space or a tab.
    var isBlank: Bool { self == 0x20 || self == 0x09 }
    var isDigit: Bool { self >= 0x30 && self <= 0x39 }
    /// What may stand in a name of an ini file without quotes.
    var isPlainKey: Bool {
        isDigit || (asciiLowercased >= 0x61 && asciiLowercased <= 0x7A) || self == UInt8(ascii: "_")
            || self == UInt8(ascii: ".") || self == UInt8(ascii: "-") || self == UInt8(ascii: "*")
    }
}

extension ByteString {
    /// Without white space at the end.
    var trimmedAtEnd: ByteString {
        guard let last = bytes.lastIndex(where: { !$0.isSpace }) else { return ByteString([]) }
        return last == bytes.count - 1 ? self : ByteString(Array(bytes[...last]))
    }

    /// For log lines and error texts: cut after a sensible length, control bytes as `\xNN`.
    var quotable: String {
        var text: [UInt8] = []
        for byte in bytes.prefix(Limits.quotedBytes) {
            if byte < 0x20 || byte == 0x7F {
                text += Array("\\x".utf8) + [Self.hexDigits(byte >> 4), Self.hexDigits(byte & 15)]
            } else {
                text.append(byte)
            }
        }
        return String(decoding: text, as: UTF8.self) + (count > Limits.quotedBytes ? "..." : "")
    }

    private static func hexDigits(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 &+ value : 0x57 &+ value }
}
