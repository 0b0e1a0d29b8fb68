public import Primitives

/// Numbers as configuration files write them. `nil` means garbage or too large; never a silent zero.
enum Numbers {
    /// As C's `strtol` with base 0: spaces in front, a sign, `0x` for hexadecimal, a leading 0 for octal.
    static func integer(_ text: ByteString) -> Int? {
        var cursor = ByteCursor(text)
        let value = integer(from: &cursor)
        return cursor.atEnd ? value : nil
    }

    /// Decimal only, as in connection strings.
    static func decimal(_ text: ByteString) -> Int? {
        var cursor = ByteCursor(text)
        let negative = sign(from: &cursor)
        guard let value = digits(from: &cursor, base: 10), cursor.atEnd else { return nil }
        return negative ? -value : value
    }

    /// An integer with an optional unit kB, MB or GB, in bytes.
    static func size(_ text: ByteString) -> Int? {
        var cursor = ByteCursor(text)
        guard let value = integer(from: &cursor) else { return nil }
        if cursor.atEnd { return value }
        cursor.skip { $0.isBlank }
        let factor: Int
        if cursor.skip(word: "kB") {
            factor = 1 << 10
        } else if cursor.skip(word: "MB") {
            factor = 1 << 20
        } else if cursor.skip(word: "GB") {
            factor = 1 << 30
        } else if cursor.skip(word: "B") {
            factor = 1
        } else {
            return nil
        }
        let (bytes, overflow) = value.multipliedReportingOverflow(by: factor)
        return overflow || !cursor.atEnd ? nil : bytes
    }

    /// Seconds with decimals, or a number with a unit; kept to the microsecond. A time too short to keep is
    /// garbage as well: rounded to zero it would mean "never".
    static func time(_ text: ByteString) -> TimeSpan? {
        var cursor = ByteCursor(text)
        guard let value = real(from: &cursor), let unit = unit(from: &cursor), cursor.atEnd else {
            return nil
        }
        let microseconds = value * unit
        guard value >= 0, microseconds <= 9.2e15, value == 0 || microseconds >= 1 else { return nil }
        // Rounded by hand: `rounded()` would need the C library's mathematics.
        return .microseconds(Int(microseconds + 0.5))
    }

    /// Microseconds in one of the unit that comes next; without a unit seconds.
    private static func unit(from cursor: inout ByteCursor) -> Double? {
        if cursor.atEnd { return 1e6 }
        cursor.skip { $0.isBlank }
        if cursor.skip(word: "us") { return 1 }
        if cursor.skip(word: "ms") { return 1e3 }
        if cursor.skip(word: "min") || cursor.skip(word: "m") { return 60e6 }
        if cursor.skip(word: "s") { return 1e6 }
        if cursor.skip(word: "h") { return 3600e6 }
        if cursor.skip(word: "d") { return 86_400e6 }
        return nil
    }

    /// What `strtod` takes, less infinities, not-a-numbers and hexadecimal fractions.
    private static func real(from cursor: inout ByteCursor) -> Double? {
        var hexadecimal = cursor
        if isHexadecimal(cursor), let value = integer(from: &hexadecimal) {
            cursor = hexadecimal
            return Double(value)
        }
        let negative = sign(from: &cursor)
        let whole = cursor.take { $0.isDigit }
        var fraction = ByteString([])
        if cursor.skip(UInt8(ascii: ".")) { fraction = cursor.take { $0.isDigit } }
        guard !(whole.isEmpty && fraction.isEmpty), whole.count + fraction.count <= 64 else { return nil }
        var digits = "0" + whole.lossyText + "." + fraction.lossyText + "0"
        var behind = cursor
        if behind.skip(word: "e") {
            let minus = sign(from: &behind)
            let exponent = behind.take { $0.isDigit }
            guard !exponent.isEmpty, exponent.count <= 4 else { return nil }
            digits += (minus ? "e-" : "e") + exponent.lossyText
            cursor = behind
        }
        guard let value = Double(digits), value.isFinite else { return nil }
        return negative ? -value : value
    }

    private static func isHexadecimal(_ cursor: ByteCursor) -> Bool {
        var cursor = cursor
        _ = sign(from: &cursor)
        return cursor.skip(word: "0x")
    }

    private static func integer(from cursor: inout ByteCursor) -> Int? {
        let negative = sign(from: &cursor)
        var base = 10
        if cursor.skip(word: "0x") {
            base = 16
        } else if cursor.peek == UInt8(ascii: "0") {
            base = 8
        }
        guard let value = digits(from: &cursor, base: base) else { return nil }
        return negative ? -value : value
    }

    /// Spaces and one sign; whether that was a minus.
    private static func sign(from cursor: inout ByteCursor) -> Bool {
        cursor.skip { $0.isSpace }
        if cursor.skip(UInt8(ascii: "-")) { return true }
        _ = cursor.skip(UInt8(ascii: "+"))
        return false
    }

    private static func digits(from cursor: inout ByteCursor, base: Int) -> Int? {
        var value: Int?
        while let byte = cursor.peek, let digit = digit(byte, base: base) {
            let (product, overflow) = (value ?? 0).multipliedReportingOverflow(by: base)
            let (sum, carry) = product.addingReportingOverflow(digit)
            if overflow || carry { return nil }
            value = sum
            _ = cursor.next()
        }
        return value
    }

    private static func digit(_ byte: UInt8, base: Int) -> Int? {
        let lower = byte.asciiLowercased
        let digit = byte.isDigit ? Int(byte) - 0x30 : lower >= 0x61 && lower <= 0x66 ? Int(lower) - 0x57 : 99
        return digit < base ? digit : nil
    }
}

extension TimeSpan {
    /// Seconds as C prints them with `%g`: six digits at most, the short form for very large and very small
    /// ones.
    public var shortSeconds: String {
        var digits = Array(String(wholeMicroseconds).utf8)
        if wholeMicroseconds == 0 { return "0" }
        var exponent = digits.count - 7
        if digits.count > 6 {
            let up = digits[6] >= UInt8(ascii: "5")
            let kept = String(decoding: digits.prefix(6), as: UTF8.self)
            digits = Array(String((Int(kept) ?? 0) + (up ? 1 : 0)).utf8)
            if digits.count > 6 { exponent += 1 }
        }
        while digits.count > 1, digits.last == UInt8(ascii: "0") { digits.removeLast() }
        let text = String(decoding: digits, as: UTF8.self)
        if exponent < -4 || exponent >= 6 {
            let mantissa = digits.count > 1 ? "\(text.prefix(1)).\(text.dropFirst())" : text
            let size = abs(exponent)
            return "\(mantissa)e\(exponent < 0 ? "-" : "+")\(size < 10 ? "0" : "")\(size)"
        }
        if exponent < 0 { return "0." + String(repeating: "0", count: -exponent - 1) + text }
        if digits.count <= exponent + 1 {
            return text + String(repeating: "0", count: exponent + 1 - digits.count)
        }
        return "\(text.prefix(exponent + 1)).\(text.dropFirst(exponent + 1))"
    }
}

extension TimeSpan {
    /// A time as settings write it: seconds, or a number with a unit. `nil` for anything else.
    public init?(setting text: ByteString) {
        guard let span = Numbers.time(text) else { return nil }
        self = span
    }
}
