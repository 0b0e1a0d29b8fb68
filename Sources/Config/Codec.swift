import Primitives

/// How a value is read from text and written as text: both directions in one place, so they cannot disagree.
struct Codec<Value: Sendable>: Sendable {
    /// What belongs there, for error messages: "an integer from 0 to 5".
    let expected: String
    /// `nil`: not a value of this kind.
    let parse: @Sendable (ByteString) -> Value?
    /// `nil`: not set, NULL in `SHOW CONFIG`.
    let print: @Sendable (Value) -> ByteString?
    /// What is wrong with this text, where that can be said better than by what belongs there.
    var complaint: @Sendable (ByteString) -> String? = { _ in nil }
}

/// What a whole number of time counts.
enum WholeUnit: String {
    case seconds, milliseconds

    var microseconds: Int {
        switch self {
        case .seconds: 1_000_000
        case .milliseconds: 1000
        }
    }
}

extension Codec<Int> {
    /// A plain integer of a range.
    static func count(_ range: ClosedRange<Int>) -> Codec {
        Codec(
            expected: "an integer from \(range.lowerBound) to \(range.upperBound)",
            parse: { Numbers.integer($0).flatMap { range.contains($0) ? $0 : nil } },
            print: { ByteString(String($0)) })
    }

    /// A limit that negative numbers switch off, as 0 does; so what is kept is never negative.
    static var limit: Codec {
        Codec(
            expected: "an integer up to \(Limits.largestInteger), 0 for no limit",
            parse: { text in
                guard let value = Numbers.integer(text), value >= -Limits.largestInteger - 1,
                    value <= Limits.largestInteger
                else { return nil }
                return max(0, value)
            },
            print: { ByteString(String($0)) })
    }

    /// A number of threads; `auto` is 0.
    static var workers: Codec {
        Codec(
            expected: "an integer from 1 to \(Limits.workers), or auto",
            parse: { text in
                if text.equalsIgnoringASCIICase("auto") { return 0 }
                return Numbers.integer(text).flatMap { (1...Limits.workers).contains($0) ? $0 : nil }
            },
            print: { $0 == 0 ? "auto" : ByteString(String($0)) })
    }

    /// A number of seconds or milliseconds: what goes to the kernel as a whole number.
    static func whole(_ unit: WholeUnit) -> Codec {
        Codec(
            expected: "whole \(unit.rawValue) from 0 to \(Limits.largestInteger), or a number with "
                + "ms, s, min, h or d",
            parse: { text in
                if let value = Numbers.integer(text) {
                    return value >= 0 && value <= Limits.largestInteger ? value : nil
                }
                guard let span = Numbers.time(text) else { return nil }
                let value = span.wholeMicroseconds / unit.microseconds
                guard value <= Limits.largestInteger, span == .microseconds(value * unit.microseconds) else {
                    return nil
                }
                return value
            },
            print: { ByteString(String($0)) })
    }

    /// Bytes.
    static func size(_ range: ClosedRange<Int>) -> Codec {
        Codec(
            expected:
                "a size from \(range.lowerBound) to \(range.upperBound) bytes, or a number with kB, MB or GB",
            parse: { Numbers.size($0).flatMap { range.contains($0) ? $0 : nil } },
            print: { ByteString(String($0)) })
    }
}

extension Codec<UInt16> {
    static var port: Codec {
        Codec(
            expected: "a port from 0 to 65535",
            parse: { Numbers.integer($0).flatMap(UInt16.init(exactly:)) },
            print: { ByteString(String($0)) })
    }
}

extension Codec<Bool> {
    /// Any integer but 0 means yes, as in PgBouncer; words are understood as well.
    static var flag: Codec {
        Codec(
            expected: "0 or 1",
            parse: { text in
                if let value = Numbers.integer(text) {
                    return value >= -Limits.largestInteger - 1 && value <= Limits.largestInteger
                        ? value != 0 : nil
                }
                for (no, yes) in [("false", "true"), ("no", "yes"), ("off", "on")]
                    as [(ByteString, ByteString)]
                {
                    if text.equalsIgnoringASCIICase(no) { return false }
                    if text.equalsIgnoringASCIICase(yes) { return true }
                }
                return nil
            },
            print: { $0 ? "1" : "0" })
    }
}

extension Codec<TimeSpan> {
    static var time: Codec {
        Codec(
            expected: "a time: seconds from 0 to 9200000000, or a number with us, ms, s, min, h or d",
            parse: { Numbers.time($0) },
            print: { ByteString($0.shortSeconds) })
    }

    /// Settings that PgBouncer keeps as a whole number of seconds.
    static func wholeSeconds(_ range: ClosedRange<Int>) -> Codec {
        Codec(
            expected: "whole seconds from \(range.lowerBound) to \(range.upperBound), "
                + "or a number with s, min, h or d",
            parse: { text in
                let span =
                    Numbers.integer(text).flatMap { $0 < 0 ? nil : TimeSpan.seconds($0) }
                    ?? Numbers.time(text)
                guard let span, range.contains(span.wholeSeconds), span == .seconds(span.wholeSeconds) else {
                    return nil
                }
                return span
            },
            print: { ByteString(String($0.wholeSeconds)) })
    }
}

extension Codec<ByteString> {
    static var text: Codec {
        Codec(expected: "text without zero bytes", parse: { $0.bytes.contains(0) ? nil : $0 }, print: { $0 })
    }
}

extension Codec<ByteString?> {
    /// Text that may be missing; no text at all is the same as missing.
    static var optionalText: Codec {
        Codec(
            expected: "text without zero bytes",
            parse: { $0.bytes.contains(0) ? nil : .some($0.isEmpty ? nil : $0) }, print: { $0 })
    }

    static var authDatabase: Codec {
        Codec(
            expected: "a database name: cannot use the reserved \"pgbouncer\" database as an auth_dbname",
            parse: { $0 == "pgbouncer" || $0.bytes.contains(0) ? nil : .some($0.isEmpty ? nil : $0) },
            print: { $0 })
    }
}

extension Codec<LDAPOptions?> {
    /// Printed without the password.
    static var ldapOptions: Codec {
        Codec(
            expected: "text with LDAP options as in an HBA file: ldapserver=... and others, or ldapurl=...",
            parse: { text in
                if text.trimmedAtEnd.isEmpty { return .some(nil) }
                return (try? LDAPOptions(text)).map { .some($0) }
            },
            print: { $0?.text },
            complaint: { text in
                if text.bytes.contains(0) { return nil }
                do throws(LDAPOptions.Problem) {
                    _ = try LDAPOptions(text)
                    return nil
                } catch {
                    return error.text
                }
            })
    }
}

extension Codec<[ByteString]> {
    /// Names separated by commas or spaces.
    static var list: Codec {
        Codec(
            expected: "names separated by commas",
            parse: { text in
                if text.bytes.contains(0) { return nil }
                return text.bytes.split { $0.isSpace || $0 == UInt8(ascii: ",") }.map {
                    ByteString(Array($0))
                }
            },
            print: { names in ByteString(Array(names.map(\.bytes).joined(separator: Array(", ".utf8)))) })
    }
}

extension Codec<AddressList> {
    /// Networks separated by commas or spaces.
    static var networks: Codec {
        let list = Codec<[ByteString]>.list
        return Codec(
            expected: "addresses or networks, as in 10.0.0.0/8, fd00::/8, 192.168.7.4",
            parse: { list.parse($0).flatMap { AddressList($0) } }, print: { list.print($0.words) })
    }
}

extension Codec where Value: Choice {
    /// One of the words, whatever the case of its letters.
    static func choice() -> Codec {
        let words = Value.allCases.map(\.name.lossyText)
        return Codec(
            expected: "one of " + words.joined(separator: ", "),
            parse: { text in Value.allCases.first { $0.name.equalsIgnoringASCIICase(text) } },
            print: { $0.name })
    }
}
