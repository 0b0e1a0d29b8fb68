import Primitives
import Wire

/// Messages as the fuzzers write them.
enum Message {
    static func make(_ body: (inout ByteBuffer) -> Void) -> Bytes {
        var buffer = ByteBuffer()
        body(&buffer)
        return ByteString(buffer.view).bytes
    }

    static func typed(_ kind: Character, _ body: Bytes = []) -> Bytes {
        [kind.asciiValue ?? 0] + word(UInt32(body.count + 4)) + body
    }

    /// `~` stands for a zero byte.
    static func typed(_ kind: Character, text: String) -> Bytes {
        typed(kind, text.utf8.map { $0 == 0x7E ? 0 : $0 })
    }

    static func word(_ value: UInt32) -> Bytes {
        [
            UInt8(truncatingIfNeeded: value >> 24), UInt8(truncatingIfNeeded: value >> 16),
            UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value),
        ]
    }

    static func query(_ text: String) -> Bytes { typed("Q", Bytes(text.utf8) + [0]) }
    static func query(_ text: Bytes) -> Bytes { typed("Q", text + [0]) }

    static func startup(_ pairs: [(Bytes, Bytes)], minor: UInt32 = 0) -> Bytes {
        let body = pairs.reduce(Bytes()) { $0 + $1.0 + [0] + $1.1 + [0] } + [0]
        return word(UInt32(body.count + 8)) + word(3 << 16 | minor) + body
    }

    static func startup(_ user: String, _ database: String, _ more: [(String, String)] = []) -> Bytes {
        let pairs = [("user", user), ("database", database)] + more
        return startup(pairs.map { (Bytes($0.0.utf8), Bytes($0.1.utf8)) })
    }

    static func cancel(_ key: Bytes) -> Bytes {
        word(UInt32(8 + key.count)) + word(1234 << 16 | 5678) + key
    }

    static let ready = typed("Z", [0x49])
    static let readyInTransaction = typed("Z", [0x54])
    static let readyFailed = typed("Z", [0x45])
    static let sync = typed("S")

    static func complete(_ tag: String) -> Bytes { typed("C", text: tag + "~") }
    static func failure(_ state: String, _ text: String) -> Bytes {
        typed("E", text: "SERROR~VERROR~C\(state)~M\(text)~~")
    }
    static func parameter(_ name: String, _ value: Bytes) -> Bytes {
        typed("S", Bytes(name.utf8) + [0] + value + [0])
    }
    static let columns = typed(
        "T", [0, 1, 0x78, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0])
    static func dataRow(_ value: Bytes) -> Bytes {
        typed("D", [0, 1] + word(UInt32(value.count)) + value)
    }
}

/// The reference for every framing in the product: written as simply as can be, one message at a time.
struct Cutter {
    struct Piece: Equatable {
        var kind: UInt8
        /// With type and length.
        var bytes: Bytes
        var body: Bytes { Bytes(bytes.dropFirst(5)) }
    }

    private(set) var pieces: [Piece] = []
    /// What is left at the end: nothing, or the start of a message.
    private(set) var tail: Bytes = []
    /// A length that no message can have, at the front of the tail.
    private(set) var isBroken = false

    init(_ bytes: Bytes, limitBytes: Int = Int(Int32.max)) {
        var place = 0
        while bytes.count - place >= 5 {
            let length = bytes[place + 1..<place + 5].reduce(0) { $0 << 8 | Int($1) }
            if length < 4 || length >= limitBytes {
                isBroken = true
                break
            }
            if bytes.count - place < length + 1 { break }
            pieces.append(Piece(kind: bytes[place], bytes: Bytes(bytes[place..<place + length + 1])))
            place += length + 1
        }
        tail = Bytes(bytes[place...])
    }

    func count(of kinds: String) -> Int { pieces.count { kinds.utf8.contains($0.kind) } }
}
