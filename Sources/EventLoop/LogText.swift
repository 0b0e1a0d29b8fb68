package import Primitives

/// Makes bytes from anywhere fit for one line of a log that people read on terminals.
package enum LogText {
    /// PgBouncer cuts lines here too.
    package static let lineLimitBytes = 2047

    /// Appends `text`, at most `limit` bytes of output: control bytes, 0x7f, C1 controls and whatever is not
    /// UTF-8 as `\xNN`. A line break at the very end is dropped.
    package static func append(_ text: ByteView, to line: inout ByteBuffer, limit: Int = lineLimitBytes) {
        var end = text.count
        while end > 0, let last = text[end - 1], last == 0x0A || last == 0x0D { end -= 1 }
        let stop = line.count + limit
        var place = 0
        while place < end, line.count + 4 <= stop {
            let length = printableLength(text, place, end)
            if length > 0 {
                line.append(text.slice(place, length))
                place += length
            } else {
                escape(text[place] ?? 0, &line)
                place += 1
            }
        }
    }

    /// Bytes of the character at `place` that may be printed as they are; 0 when none.
    private static func printableLength(_ text: ByteView, _ place: Int, _ end: Int) -> Int {
        guard let first = text[place] else { return 0 }
        if first < 0x80 { return first >= 0x20 && first != 0x7F ? 1 : 0 }
        let length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
        guard first >= 0xC2, first <= 0xF4, place + length <= end else { return 0 }
        for offset in 1..<length {
            guard let next = text[place + offset], next & 0xC0 == 0x80 else { return 0 }
        }
        guard let second = text[place + 1] else { return 0 }
        switch first {
        case 0xC2: return second >= 0xA0 ? 2 : 0  // U+0080…U+009F are controls
        case 0xE0: return second >= 0xA0 ? 3 : 0  // longer than need be
        case 0xE2: return isSeparator(text, place) ? 0 : 3
        case 0xED: return second < 0xA0 ? 3 : 0  // surrogates
        case 0xF0: return second >= 0x90 ? 4 : 0
        case 0xF4: return second < 0x90 ? 4 : 0
        default: return length
        }
    }

    /// U+2028, U+2029 break lines; U+202A…U+202E and U+2066…U+2069 turn the writing direction round.
    private static func isSeparator(_ text: ByteView, _ place: Int) -> Bool {
        guard let second = text[place + 1], let third = text[place + 2] else { return true }
        return second == 0x80 && third >= 0xA8 && third <= 0xAE
            || second == 0x81 && third >= 0xA6 && third <= 0xA9
    }

    private static func escape(_ byte: UInt8, _ line: inout ByteBuffer) {
        line.append("\\x")
        line.append(hexDigit(byte >> 4))
        line.append(hexDigit(byte & 15))
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 &+ value : 0x57 &+ value }
}
