import EventLoop
import Primitives

/// F15: what is printed: log lines, and names in the tables of the console.
enum PrintedText {
    static let words: [ByteString] = [
        "\r\n", "\n", "\u{1B}[31m", "\0", "\u{7F}", ByteString([0xC2, 0x85]), ByteString([0xE2, 0x80, 0xA8]),
        ByteString([0xE2, 0x80, 0xAE]), ByteString([0xF0, 0x9F, 0x98, 0x80]), ByteString([0xED, 0xA0, 0x80]),
        ByteString([0xC0, 0xAF]), ByteString([0xF4, 0x90, 0x80, 0x80]), ByteString([0xFF]), "%n", "\\x00",
        "é",
        "2026-01-01 00:00:00.000 UTC [1] LOG forged", ByteString(Bytes(repeating: 0x41, count: 1000)),
    ]

    static func run(_ bytes: Bytes) -> Verdict {
        var input = Input(bytes)
        let limit = [2047, 64, 5, 4, 1, 0][input.choice(6)]
        let text = input.rest()
        let once = printed(text, limit)
        if once.count > limit { return .finding("\(once.count) bytes, the limit is \(limit)") }
        guard let valid = String(validating: once, as: UTF8.self) else {
            return .finding("not UTF-8: \(once.shown)")
        }
        for scalar in valid.unicodeScalars {
            switch scalar.value {
            case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x2069:
                return .finding("U+\(String(scalar.value, radix: 16)) in a line")
            default: break
            }
        }
        if printed(once, limit) != once, once.count + 4 <= limit {
            return .finding("printing twice is not once")
        }
        return tables(text)
    }

    private static func printed(_ text: Bytes, _ limit: Int) -> Bytes {
        var line = ByteBuffer()
        ByteString(text).withView { LogText.append($0, to: &line, limit: limit) }
        return ByteString(line.view).bytes
    }

    /// A client with this name: SHOW CLIENTS says it byte for byte, and its messages stay whole.
    private static func tables(_ text: Bytes) -> Verdict {
        let name = text.filter { $0 != 0 }
        let rig = Rig(Rig.snapshots[2])
        let client = rig.dial()
        rig.feed(
            client,
            Message.startup([
                (Array("user".utf8), Array("u".utf8)), (Array("database".utf8), Array("db".utf8)),
                (Array("application_name".utf8), name),
            ]))
        rig.settle()
        let console = rig.connect("admin", "pgbouncer")
        let heard = rig.links[console].sent.count
        rig.feed(console, Message.query("SHOW CLIENTS"))
        let told = Cutter(Bytes(rig.links[console].sent.dropFirst(heard)))
        if told.isBroken || !told.tail.isEmpty || told.count(of: "T") != 1 || told.count(of: "Z") != 1 {
            rig.found("SHOW CLIENTS is no table any more")
        }
        let isIn = name.isEmpty || told.pieces.contains { $0.kind == 0x44 && $0.bytes.containsRun(of: name) }
        if !isIn, rig.links[client].isAlive, name.count < 9000 {
            rig.found("SHOW CLIENTS lost \(name.shown)")
        }
        rig.finish()
        return rig.finding.map { .finding($0) } ?? .fine
    }
}

extension Array where Element == UInt8 {
    fileprivate func containsRun(of other: Bytes) -> Bool {
        guard count >= other.count else { return false }
        return (0...count - other.count).contains { self[$0...].starts(with: other) }
    }
}
