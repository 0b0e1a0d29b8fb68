import Primitives

/// An exact number with sixteen decimals: wide enough for every counter, and for averages of them. Results
/// that do not fit are `nil`, never wrong.
struct NumericValue: Hashable, Comparable, Sendable {
    static let decimals = 16
    private static let one: Int128 = 10_000_000_000_000_000
    private static let tenth: Int128 = 10

    /// Of 10^-16.
    private let units: Int128
    /// Decimals that are printed.
    let shownDecimals: Int

    private init(units: Int128, shownDecimals: Int) {
        self.units = units
        self.shownDecimals = shownDecimals
    }

    init(_ value: Int64) { self.init(units: Int128(value) * Self.one, shownDecimals: 0) }
    init(_ value: UInt64) { self.init(units: Int128(value) * Self.one, shownDecimals: 0) }

    /// `nil` when it is too large, or none at all.
    init?(_ value: Double) {
        guard value.isFinite, value.magnitude < 1e20 else { return nil }
        self.init(units: Int128(value * 1e16), shownDecimals: Self.decimals)
    }

    /// Digits with an optional sign and point, blanks around them.
    init?(_ text: ByteString) {
        var bytes = text.bytes[...]
        while let first = bytes.first, first == 0x20 { bytes = bytes.dropFirst() }
        while let last = bytes.last, last == 0x20 { bytes = bytes.dropLast() }
        let isNegative = bytes.first == UInt8(ascii: "-")
        if isNegative || bytes.first == UInt8(ascii: "+") { bytes = bytes.dropFirst() }
        var units: Int128 = 0
        var decimals: Int?
        var digits = 0
        for byte in bytes {
            if byte == UInt8(ascii: "."), decimals == nil {
                decimals = 0
                continue
            }
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            digits += 1
            if let known = decimals {
                // What lies behind the sixteenth decimal is dropped.
                if known == Self.decimals { continue }
                decimals = known + 1
            }
            let (tens, overflow) = units.multipliedReportingOverflow(by: Self.tenth)
            let (sum, overflows) = tens.addingReportingOverflow(Int128(byte - 0x30))
            if overflow || overflows { return nil }
            units = sum
        }
        guard digits > 0 else { return nil }
        for _ in (decimals ?? 0)..<Self.decimals {
            let (tens, overflow) = units.multipliedReportingOverflow(by: Self.tenth)
            if overflow { return nil }
            units = tens
        }
        self.init(units: isNegative ? -units : units, shownDecimals: decimals ?? 0)
    }

    /// The digits of PostgreSQL's binary form, each to the base 10 000, the first of weight 10000^`weight`.
    init?(base10000 digits: [UInt16], weight: Int, isNegative: Bool, shownDecimals: Int) {
        var units: Int128 = 0
        for (index, digit) in digits.enumerated() {
            guard digit < 10_000 else { return nil }
            if digit == 0 { continue }
            var value = Int128(digit)
            let power = weight - index + 4
            if power < 0 { break }
            // More would not fit anyway.
            if power > 9 { return nil }
            for _ in 0..<power {
                let (more, overflow) = value.multipliedReportingOverflow(by: 10_000)
                if overflow { return nil }
                value = more
            }
            let (sum, overflow) = units.addingReportingOverflow(value)
            if overflow { return nil }
            units = sum
        }
        self.init(units: isNegative ? -units : units, shownDecimals: min(shownDecimals, Self.decimals))
    }

    static func == (a: NumericValue, b: NumericValue) -> Bool { a.units == b.units }
    static func < (a: NumericValue, b: NumericValue) -> Bool { a.units < b.units }
    func hash(into hasher: inout Hasher) { hasher.combine(units) }

    var isZero: Bool { units == 0 }
    var isNegative: Bool { units < 0 }

    /// The whole number, if it is one of 64 bits; a fraction is rounded away from zero at a half.
    var rounded: Int64? {
        let half = units < 0 ? -Self.one / 2 : Self.one / 2
        let (sum, overflow) = units.addingReportingOverflow(half)
        return overflow ? nil : Int64(exactly: sum / Self.one)
    }

    // MARK: Arithmetic

    func plus(_ other: NumericValue) -> NumericValue? {
        let (sum, overflow) = units.addingReportingOverflow(other.units)
        return overflow
            ? nil : NumericValue(units: sum, shownDecimals: max(shownDecimals, other.shownDecimals))
    }

    var negated: NumericValue? {
        units == .min ? nil : NumericValue(units: -units, shownDecimals: shownDecimals)
    }

    func minus(_ other: NumericValue) -> NumericValue? { other.negated.flatMap { plus($0) } }

    func times(_ other: NumericValue) -> NumericValue? {
        let product: (partialValue: Int128, overflow: Bool)
        if units % Self.one == 0 {
            product = (units / Self.one).multipliedReportingOverflow(by: other.units)
        } else if other.units % Self.one == 0 {
            product = (other.units / Self.one).multipliedReportingOverflow(by: units)
        } else {
            // Half of the decimals of each are enough for two fractions.
            product = (units / 100_000_000).multipliedReportingOverflow(by: other.units / 100_000_000)
        }
        if product.overflow { return nil }
        let shown = min(Self.decimals, shownDecimals + other.shownDecimals)
        return NumericValue(units: product.partialValue, shownDecimals: shown)
    }

    /// `other` is not zero. A whole division drops the rest, as that of integers does.
    func over(_ other: NumericValue, isWhole: Bool) -> NumericValue? {
        let (quotient, overflow) = units.dividedReportingOverflow(by: other.units)
        if overflow { return nil }
        let (whole, overflows) = quotient.multipliedReportingOverflow(by: Self.one)
        if overflows { return nil }
        if isWhole { return NumericValue(units: whole, shownDecimals: 0) }
        let rest = units % other.units
        let fraction: Int128
        if other.units.magnitude > 1_000_000_000_000_000_000_000 {
            fraction = rest / (other.units / Self.one)
        } else {
            let tenths = rest * Self.one * Self.tenth / other.units
            fraction = (tenths + (tenths < 0 ? -5 : 5)) / Self.tenth
        }
        let (sum, tooLarge) = whole.addingReportingOverflow(fraction)
        return tooLarge ? nil : NumericValue(units: sum, shownDecimals: Self.decimals)
    }

    /// `other` is not zero.
    func remainder(_ other: NumericValue) -> NumericValue {
        // The one remainder that overflows is of a division without rest.
        NumericValue(
            units: units.remainderReportingOverflow(dividingBy: other.units).partialValue,
            shownDecimals: max(shownDecimals, other.shownDecimals))
    }

    // MARK: Printing

    var text: ByteString {
        let whole = units.magnitude / Self.one.magnitude
        var text = (units < 0 ? "-" : "") + "\(whole)"
        guard shownDecimals > 0 else { return ByteString(text) }
        let fraction = "\(units.magnitude % Self.one.magnitude)"
        let digits = String(repeating: "0", count: Self.decimals - fraction.utf8.count) + fraction
        text += "." + digits.prefix(shownDecimals)
        return ByteString(text)
    }

    /// Digits to the base 10 000 without zeros at either end, and the weight of the first.
    var base10000: (digits: [UInt16], weight: Int) {
        var rest = units.magnitude
        var digits: [UInt16] = []
        while rest > 0 {
            digits.insert(UInt16(rest % 10_000), at: 0)
            rest /= 10_000
        }
        let weight = digits.isEmpty ? 0 : digits.count - 5
        while digits.last == 0 { digits.removeLast() }
        return (digits, weight)
    }
}
