import Primitives

/// Reads an input from the front: choices first, then whatever is left.
struct Input {
    private let bytes: Bytes
    private(set) var place = 0

    init(_ bytes: Bytes) { self.bytes = bytes }

    var isAtEnd: Bool { place >= bytes.count }

    /// The next byte; zeros behind the end, so that a short input is a valid one.
    mutating func byte() -> UInt8 {
        guard place < bytes.count else { return 0 }
        defer { place += 1 }
        return bytes[place]
    }

    /// One of `0..<count`, by the next byte.
    mutating func choice(_ count: Int) -> Int { Int(byte()) % max(1, count) }

    mutating func take(_ count: Int) -> Bytes {
        let end = min(bytes.count, place + max(0, count))
        defer { place = end }
        return Bytes(bytes[place..<end])
    }

    mutating func rest() -> Bytes { take(bytes.count) }

    /// The parts between lines that say `%%`.
    mutating func parts() -> [Bytes] {
        let all = rest()
        var parts: [Bytes] = []
        var start = 0
        var index = 0
        let mark = Array("\n%%\n".utf8)
        while index + mark.count <= all.count {
            if all[index..<index + mark.count].elementsEqual(mark) {
                parts.append(Bytes(all[start..<index]))
                index += mark.count
                start = index
            } else {
                index += 1
            }
        }
        parts.append(Bytes(all[start...]))
        return parts
    }
}

/// How a stream of bytes arrives.
enum Delivery: CaseIterable {
    case whole, byteByByte, random, threes

    /// Sizes of the pieces of so many bytes; `seed` decides the random ones.
    func pieces(_ count: Int, seed: UInt64) -> [Int] {
        var chance = Random(seed: seed)
        var pieces: [Int] = []
        var left = count
        // A long stream byte by byte would take longer than it teaches.
        let least = count / 2048 + 1
        while left > 0 {
            let wanted =
                switch self {
                case .whole: left
                case .byteByByte: least
                case .threes: 3 * least
                case .random: 1 + chance.below(chance.below(4) == 0 ? 64 : 7)
                }
            let piece = min(left, max(wanted, least))
            pieces.append(piece)
            left -= piece
        }
        return pieces
    }
}

/// A seed that depends on the input alone.
func seed(of bytes: Bytes) -> UInt64 {
    bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
}

/// The first finding of several checks.
func firstFinding(_ checks: () -> String?...) -> Verdict {
    for check in checks {
        if let text = check() { return .finding(text) }
    }
    return .fine
}

extension Array where Element == UInt8 {
    /// Printable, and short enough for a line.
    var shown: String {
        var text = ""
        for byte in prefix(80) {
            if byte >= 0x20, byte < 0x7F {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                text += byte < 16 ? "\\x0" : "\\x"
                text += String(byte, radix: 16)
            }
        }
        return count > 80 ? text + "… (\(count) bytes)" : text
    }
}
