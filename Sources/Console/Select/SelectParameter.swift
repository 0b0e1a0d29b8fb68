import Primitives

/// A parameter's value as Bind brings it, by the number of its type (pg_type.dat) and its format.
enum SelectParameter {
    /// The type in expressions of a declared type; `nil` for one that is left to us, and for any we do not
    /// know.
    static func type(_ number: UInt32) -> SQLType? {
        switch number {
        case 16: .bool
        case 20, 26: .int8
        case 21, 23: .int4
        case 700, 701, 1700: .numeric
        case 18, 19, 25, 1042, 1043: .text
        default: nil
        }
    }

    /// Whether Parse may declare it: 0 and `unknown` leave the choice to us.
    static func isKnown(_ number: UInt32) -> Bool { number == 0 || number == 705 || type(number) != nil }

    /// `nil` bytes are NULL. The error says what cannot be a value of this type.
    static func value(
        _ bytes: ByteString?, number: UInt32, type: SQLType, isBinary: Bool
    ) throws(SelectError) -> SQLValue {
        guard let bytes else { return .null }
        guard isBinary else {
            if let value = type.value(of: bytes) { return value }
            // As drivers write floating-point numbers.
            if type == .numeric, let value = Double(bytes.lossyText).flatMap({ NumericValue($0) }) {
                return .number(value)
            }
            let text = "invalid input syntax for type \(type.name): \"\(bytes.lossyText)\""
            throw SelectError("22P02", text)
        }
        guard let value = binary(bytes, number, type) else {
            throw SelectError("22P03", "incorrect binary data format in bind parameter")
        }
        return value
    }

    private static func binary(_ bytes: ByteString, _ number: UInt32, _ type: SQLType) -> SQLValue? {
        switch number {
        case 16: bytes.count == 1 ? .bool(bytes.bytes[0] != 0) : nil
        case 20: bytes.count == 8 ? whole(Int64(bitPattern: unsigned(bytes))) : nil
        case 21: bytes.count == 2 ? whole(Int64(Int16(truncatingIfNeeded: unsigned(bytes)))) : nil
        case 23: bytes.count == 4 ? whole(Int64(Int32(truncatingIfNeeded: unsigned(bytes)))) : nil
        case 26: bytes.count == 4 ? whole(Int64(unsigned(bytes))) : nil
        case 700:
            bytes.count == 4
                ? NumericValue(Double(Float(bitPattern: UInt32(truncatingIfNeeded: unsigned(bytes)))))
                    .map { .number($0) } : nil
        case 701:
            bytes.count == 8 ? NumericValue(Double(bitPattern: unsigned(bytes))).map { .number($0) } : nil
        case 1700: numeric(bytes).map { .number($0) }
        default: type == .text ? .text(bytes) : nil
        }
    }

    private static func whole(_ value: Int64) -> SQLValue { .number(NumericValue(value)) }

    private static func unsigned(_ bytes: ByteString) -> UInt64 {
        bytes.bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// As `numeric_recv` reads it: digits, weight, sign, decimals, then the digits to the base 10 000.
    private static func numeric(_ bytes: ByteString) -> NumericValue? {
        let words = stride(from: 0, to: bytes.count - 1, by: 2).map {
            UInt16(bytes.bytes[$0]) << 8 | UInt16(bytes.bytes[$0 + 1])
        }
        guard bytes.count % 2 == 0, words.count >= 4, words.count == 4 + Int(words[0]) else { return nil }
        guard words[2] == 0 || words[2] == 0x4000 else { return nil }
        return NumericValue(
            base10000: Array(words[4...]), weight: Int(Int16(bitPattern: words[1])),
            isNegative: words[2] != 0,
            shownDecimals: Int(words[3]))
    }
}
